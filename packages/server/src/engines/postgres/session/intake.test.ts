import { JitdbError } from "@jitdb/shared/errors";
import { MessageWalker } from "@jitdb/shared/postgres/decoder";
import { encodeQuery, encodeReadyForQuery } from "@jitdb/shared/postgres/encoder";
import { frontendMessages } from "@jitdb/shared/postgres/messages";
import { encodeMessage } from "@jitdb/shared/postgres/writer";
import { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import { describe, expect, test } from "vitest";
import { Intake } from "./intake.ts";
import { OwedAnswers } from "./owed-answers.ts";

const query = encodeQuery("SELECT 1");

function createIntake(refuses = false) {
  const observer = {
    client(_: Uint8Array, { last }: { readonly last: boolean }) {
      if (refuses && last) {
        throw new JitdbError("postgres.protocol", "Refused.");
      }
    },
    received: () => undefined,
  };
  return new Intake(observer, new OwedAnswers(), new RecycledMemory());
}

describe("whether a goodbye may follow what was passed on", () => {
  test("not behind a part of a message, and behind all of it", () => {
    const intake = createIntake();
    expect(intake.isAtEnd).toBe(true);
    intake.push(query.subarray(0, 8));
    intake.takePending();
    expect(intake.isAtEnd).toBe(false);
    intake.push(query.subarray(8));
    expect(intake.isAtEnd).toBe(false);
    intake.takePending();
    expect(intake.isAtEnd).toBe(true);
  });

  test("not where the rest of the message was refused or dropped: it would complete a statement without a record (invariant 20)", () => {
    const refusing = createIntake(true);
    refusing.push(query.subarray(0, 8));
    refusing.takePending();
    expect(() => refusing.push(query.subarray(8))).toThrow(JitdbError);
    expect(refusing.isAtEnd).toBe(false);

    const dropping = createIntake();
    dropping.push(query.subarray(0, 8));
    dropping.takePending();
    dropping.push(query.subarray(8));
    dropping.drop();
    expect(dropping.isAtEnd).toBe(false);
  });
});

const queries = ["commit", "begin", "insert into t values (1)"].map(encodeQuery);
const stream = Buffer.concat(queries);

/** An intake that passes one by one, and what the observer saw of it, by the types of whole messages. */
function start() {
  const owed = new OwedAnswers();
  const seen: number[] = [];
  const observer = {
    client: (_bytes: Uint8Array, { type, last }: { type: number; last: boolean }) => {
      if (last) {
        seen.push(type);
      }
    },
    received: () => undefined,
  };
  const intake = new Intake(observer, owed, new RecycledMemory());
  const answer = () => {
    const chunk = encodeReadyForQuery("transaction");
    const walker = new MessageWalker("backend");
    walker.push(chunk);
    for (let part = walker.next(); part; part = walker.next()) {
      owed.server(chunk, part);
    }
    intake.goOn();
  };
  return { intake, seen, answer, taken: () => Buffer.concat([...intake.takePending()]) };
}

describe("what passes", () => {
  test("passes everything at once, as long as nothing is to be held back", () => {
    const { intake, seen, taken } = start();
    intake.push(stream);
    expect(taken()).toEqual(stream);
    expect(taken()).toEqual(Buffer.alloc(0));
    expect(seen).toHaveLength(3);
  });

  test("passes one unit for each answer, unseen before, wherever the bytes are split", () => {
    for (let first = 0; first <= stream.length; first += 1) {
      for (let second = first; second <= stream.length; second += 3) {
        const { intake, seen, answer, taken } = start();
        intake.passOneByOne();
        const passed: Buffer[] = [];
        for (const [from, to] of [
          [0, first],
          [first, second],
          [second, stream.length],
        ] as const) {
          const piece = Buffer.from(stream.subarray(from, to));
          intake.push(piece);
          // Memory of the next message: whoever kept some of it would now pass something else on.
          piece.fill(0xee);
        }
        for (const count of [1, 2, 3]) {
          passed.push(taken());
          expect(seen).toHaveLength(count);
          // Of the next unit a part of its header may be through, which begins nothing.
          const whole = Buffer.concat(queries.slice(0, count)).length;
          const sum = Buffer.concat(passed).length;
          expect(sum).toBeGreaterThanOrEqual(whole);
          expect(sum).toBeLessThan(whole + 5);
          answer();
        }
        expect(Buffer.concat(passed)).toEqual(stream);
      }
    }
  });

  test("holds no COPY data back, nor a Sync", () => {
    const { intake, seen } = start();
    intake.passOneByOne();
    const messages = [
      encodeQuery("copy t from stdin"),
      encodeMessage(frontendMessages.CopyData, Uint8Array.of(49, 10)),
      encodeMessage(frontendMessages.CopyDone),
      encodeMessage(frontendMessages.Sync),
    ];
    intake.push(Buffer.concat(messages));
    expect(seen).toHaveLength(4);
  });

  test("forgets what it holds", () => {
    const { intake, answer, taken } = start();
    intake.passOneByOne();
    intake.push(stream);
    intake.drop();
    answer();
    expect(taken()).toEqual(Buffer.alloc(0));
  });
});
