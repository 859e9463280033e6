// The observer against a model of a server: whatever a client pipelines, whatever fails, and however late the answers
// come, each statement that the model runs has an intent that lists its text and an outcome that names it (invariant 22).

import fc from "fast-check";
import { expect, it } from "vitest";
import { bind, close, execute, ObservedSession, parse, query, reply, sync } from "./fixtures.ts";

type Message =
  | {
      readonly kind: "parse" | "bind";
      readonly name: string;
      readonly of: string;
      readonly fails: boolean;
    }
  | { readonly kind: "execute"; readonly name: string; readonly fails: boolean }
  | { readonly kind: "close"; readonly target: "statement" | "portal"; readonly name: string }
  | { readonly kind: "query"; readonly results: number; readonly fails: boolean }
  | { readonly kind: "sync" };

/** How the model's server answers one message, and what it ran. */
interface Answer {
  readonly replies: readonly Uint8Array[];
  /** Result and text of a Query or Execute; undefined for one without. */
  readonly ran?: { readonly result: "complete" | "error" | "skipped"; readonly text?: string };
}

/** PostgreSQL's main loop, as far as names and errors go. */
class ServerModel {
  readonly #statements = new Map<string, string>();
  readonly #portals = new Map<string, string>();
  #isSkipping = false;

  answer(message: Message, text: string): Answer {
    if (this.#isSkipping && message.kind !== "sync") {
      const runs = message.kind === "query" || message.kind === "execute";
      return runs ? { replies: [], ran: { result: "skipped" } } : { replies: [] };
    }
    switch (message.kind) {
      case "parse":
        return this.#do(!message.fails, reply.parseComplete, () =>
          this.#statements.set(message.name, text),
        );
      case "bind": {
        const bound = this.#statements.get(message.of);
        const isDone = !message.fails && bound !== undefined;
        return this.#do(isDone, reply.bindComplete, () =>
          this.#portals.set(message.name, bound ?? ""),
        );
      }
      case "close":
        return this.#do(true, reply.closeComplete, () =>
          (message.target === "statement" ? this.#statements : this.#portals).delete(message.name),
        );
      case "execute":
        return this.#execute(message.name, message.fails);
      case "query":
        return this.#query(message.results, message.fails, text);
      default:
        this.#isSkipping = false;
        this.#portals.clear();
        return { replies: [reply.ready()] };
    }
  }

  #do(isDone: boolean, done: Uint8Array, effect: () => unknown): Answer {
    if (isDone) {
      effect();
      return { replies: [done] };
    }
    this.#isSkipping = true;
    return { replies: [reply.error("42601")] };
  }

  #execute(portal: string, fails: boolean): Answer {
    const text = this.#portals.get(portal);
    if (fails || text === undefined) {
      this.#isSkipping = true;
      const ran =
        text === undefined ? { result: "error" as const } : { result: "error" as const, text };
      return { replies: [reply.error("22012")], ran };
    }
    return {
      replies: [reply.row(3), reply.complete("SELECT 1")],
      ran: { result: "complete", text },
    };
  }

  #query(results: number, fails: boolean, text: string): Answer {
    const done = Array.from({ length: results }, () => reply.complete("SELECT 1"));
    const last = fails ? [reply.error("42601")] : [];
    this.#portals.clear();
    const result = fails ? "error" : "complete";
    return { replies: [...done, ...last, reply.ready()], ran: { result, text } };
  }
}

function encode(message: Message, text: string): Uint8Array {
  switch (message.kind) {
    case "parse":
      return parse(message.name, text);
    case "bind":
      return bind(message.name, message.of);
    case "execute":
      return execute(message.name);
    case "close":
      return close(message.target, message.name);
    case "query":
      return query(text);
    default:
      return sync;
  }
}

const name = fc.constantFrom("", "a", "b");
const rarely = fc.integer({ min: 0, max: 5 }).map((number) => number === 0);
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constantFrom("parse", "bind"), name, of: name, fails: rarely }),
  fc.record({ kind: fc.constant("execute"), name, fails: rarely }),
  fc.record({ kind: fc.constant("close"), target: fc.constantFrom("statement", "portal"), name }),
  fc.record({ kind: fc.constant("query"), results: fc.integer({ min: 1, max: 3 }), fails: rarely }),
  fc.record({ kind: fc.constant("sync") }),
);
const turn = fc.record({
  messages: fc.array(message, { maxLength: 6 }),
  /** Of the replies that are due, how many arrive. */
  arrive: fc.nat(8),
});

it("names what ran, whatever fails and however late the answers come (invariants 21 and 22)", () => {
  fc.assert(
    fc.property(
      fc.array(turn, { maxLength: 12 }),
      fc.integer({ min: 1, max: 40 }),
      (turns, size) => {
        const session = new ObservedSession(size);
        const server = new ServerModel();
        const due: Uint8Array[] = [];
        const ran: NonNullable<Answer["ran"]>[] = [];
        const send = (sent: Message) => {
          const text = `text ${session.records.length} of ${ran.length}`;
          session.client(encode(sent, text));
          const answer = server.answer(sent, text);
          due.push(...answer.replies);
          if (answer.ran !== undefined) {
            ran.push(answer.ran);
          }
        };
        for (const { messages, arrive } of turns) {
          messages.forEach(send);
          session.server(...due.splice(0, arrive));
        }
        send({ kind: "sync" });
        session.server(...due);
        session.observer.end("unknown");

        const intents = session.of("statement.intent");
        expect(intents).toHaveLength(ran.length);
        for (const [index, { result, text }] of ran.entries()) {
          const intent = intents[index];
          const outcomes = session
            .of("statement.outcome")
            .filter(({ statement }) => statement === intent?.statement);
          expect(outcomes.at(-1)?.result).toBe(result);
          if (text === undefined || intent === undefined || !("candidates" in intent)) {
            continue;
          }
          const named = intent.candidates.filter(({ parse: id }) => id === outcomes.at(-1)?.parse);
          expect(intent.candidates.map((candidate) => candidate.text)).toContain(text);
          expect(named.map((candidate) => candidate.text)).toContain(text);
        }
      },
    ),
    { numRuns: 500 },
  );
});
