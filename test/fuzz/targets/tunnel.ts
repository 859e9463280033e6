// The tunnel: frames, and a session of either role with a peer that sends mutated messages of a real one.

import { Secret } from "@jitdb/shared/secret";
import { decodeFrames, encodeFrame } from "@jitdb/shared/tunnel/frame";
import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import type { Dice } from "../dice.ts";
import { type Input, type Step, step } from "../input.ts";
import { mutateBytes } from "../mutate.ts";
import { codeOf, holds, same, type Target } from "../target.ts";

type Role = "agent" | "gateway";

const windowBytes = 512;
const maxStreams = 3;
const spare = {
  id: "spr_1",
  engine: "postgres",
  grant: "grt_1",
  startup: Uint8Array.of(1, 2, 3),
  greeting: Uint8Array.of(82),
};
const ticket = { value: new Secret("ticket"), parkedMs: 1000 };

export const tunnelTarget: Target = {
  name: "tunnel",
  about:
    "Whatever a peer of the tunnel sends, a session says one of the tunnel's errors or goes on within its windows, and sends what can be read.",
  make(dice) {
    const said = conversation(dice);
    return said.flatMap((one) => (dice.oneIn(5) ? mutateStep(dice, one, said) : [one]));
  },
  run(input) {
    for (const role of ["agent", "gateway"] as const) {
      const end = new End(role);
      for (const { kind, bytes } of input) {
        checkFrames(bytes);
        if (kind === "cut") {
          end.reconnect();
        } else if (kind !== role) {
          end.receive(bytes);
        }
      }
    }
  },
};

/** Messages of two real sessions, with who sent them, and where their WebSocket was lost with what was under way. */
function conversation(dice: Dice): Input {
  const ends = { agent: new End("agent"), gateway: new End("gateway") };
  const steps: Step[] = [];
  for (let round = dice.between(2, 12); round > 0; round -= 1) {
    for (const [from, to] of [["agent", "gateway"] as const, ["gateway", "agent"] as const]) {
      ends[from].act(dice);
      const sent = ends[from].send();
      const isCut = dice.oneIn(6);
      const arrived = isCut ? sent.slice(0, dice.below(sent.length + 1)) : sent;
      for (const message of arrived) {
        steps.push(step(from, message));
        ends[to].receive(message);
      }
      if (isCut) {
        steps.push(step("cut"));
        ends[from].reconnect();
        ends[to].reconnect();
      }
    }
  }
  return steps;
}

function mutateStep(dice: Dice, one: Step, said: Input): Input {
  const frames = splitFrames(one.bytes);
  const other = dice.pick(said);
  switch (dice.below(6)) {
    case 0:
      return [{ ...one, bytes: mutateBytes(dice, one.bytes, other.bytes) }];
    case 1:
      return [one, one];
    case 2:
      return [];
    case 3:
      return [other, one];
    case 4: {
      const frame = dice.pick(frames) ?? one.bytes;
      return [{ ...one, bytes: Buffer.concat([...frames, frame]) }];
    }
    default: {
      const at = dice.below(frames.length);
      const frame = Buffer.from(frames[at] ?? one.bytes);
      // A field of a header or a position: numbers at the edges go furthest.
      const field = dice.pick([4, 8, 12, frame.length - 4]);
      if (field >= 0 && field + 4 <= frame.length) {
        frame.writeUInt32BE(dice.oneIn(2) ? dice.edge() : dice.between(0, 9), field);
      }
      return [{ ...one, bytes: Buffer.concat(frames.with(at, frame)) }];
    }
  }
}

function splitFrames(message: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at + 8 <= message.length; ) {
    const length = Buffer.from(message).readUIntBE(at + 1, 3);
    frames.push(message.subarray(at, at + 8 + length));
    at += 8 + length;
  }
  return frames.length === 0 ? [message] : frames;
}

/** What is read is written again to the same bytes. */
function checkFrames(message: Uint8Array): void {
  const code = codeOf(() => {
    const written = decodeFrames(message).map((frame) => encodeFrame(frame));
    same(Buffer.concat(written), Buffer.from(message), "Frames written again are others");
  });
  holds(code === undefined || code.startsWith("tunnel."), "Frames end in another error", code);
}

/** One end with a driver that does what the protocol asks of it. */
class End {
  readonly #role: Role;
  readonly #session: TunnelSession;
  /** Unconsumed bytes of the streams that are open. */
  readonly #open = new Map<number, number>();
  #isGreeted = false;
  #hasFailed = false;

  constructor(role: Role) {
    this.#role = role;
    this.#session = new TunnelSession({
      role,
      software: role,
      windowBytes,
      maxWindowBytes: windowBytes,
      maxStreams,
      ...(role === "gateway" ? { ticket } : {}),
    });
  }

  /** Its WebSocket is lost, and there is another. */
  reconnect(): void {
    this.#session.detach();
    const isAgent = this.#role === "agent";
    const code = codeOf(() =>
      this.#session.attach(isAgent ? { resume: ticket.value } : { ticket }),
    );
    holds((code !== undefined) === this.#hasFailed, "A session that lives does not go on", code);
  }

  /** Something that the driver does of itself. */
  act(dice: Dice): void {
    const id = dice.pick([1, ...this.#open.keys()]);
    const actions: readonly (() => unknown)[] = [
      () => this.#role === "agent" && this.#openStream(),
      () => this.#open.has(id) && this.#session.write(id, dice.bytes(dice.between(1, 900))),
      () => this.#open.has(id) && this.#session.write(id, dice.bytes(dice.between(1, 30))),
      () => this.#open.has(id) && this.#consume(id),
      () => this.#open.has(id) && dice.oneIn(3) && this.#session.close(id),
      () => this.#open.has(id) && dice.oneIn(5) && this.#reset(id),
      () => this.#isGreeted && this.#session.ping(0),
      () => this.#role === "gateway" && this.#session.spare(spare),
      () => this.#role === "gateway" && this.#session.spent(spare),
      () => dice.oneIn(9) && this.#session.goAway({ code: "tunnel.going_away", message: "bye" }),
    ];
    // The driver's own slips (a write behind a close) are refused, and harm nothing.
    for (const action of dice.several(1, 3, () => dice.pick(actions))) {
      codeOf(action);
    }
  }

  send(): Uint8Array[] {
    const messages: Uint8Array[] = [];
    for (let chunks = this.#session.takeOutput(); chunks; chunks = this.#session.takeOutput()) {
      const message = Buffer.concat(chunks);
      holds(
        message.length <= tunnelLimits.maxMessageBytes,
        "A message is too long",
        message.length,
      );
      decodeFrames(message);
      messages.push(message);
      holds(messages.length < 1000, "The output has no end");
    }
    return messages;
  }

  receive(message: Uint8Array): void {
    const code = codeOf(() => this.#take(message));
    holds(
      code === undefined || code.startsWith("tunnel."),
      "A session ends in another error",
      code,
    );
    if (code !== undefined) {
      const last = this.send().at(-1);
      holds(last !== undefined, "A session that fails says nothing");
      this.#hasFailed = true;
      this.#open.clear();
    }
    if (this.#role === "agent" && this.#isGreeted && this.#open.size < 2) {
      codeOf(() => this.#openStream());
    }
    this.send();
  }

  #take(message: Uint8Array): void {
    const events = this.#session.receive(message, 0);
    holds(!this.#hasFailed || events.length === 0, "A failed session goes on");
    for (const event of events) {
      this.#isGreeted ||= event.type === "hello";
      if (event.type === "open") {
        this.#open.set(event.stream, 0);
        this.#session.opened(event.stream, { session: `ses_${event.stream}` });
      } else if (event.type === "data") {
        this.#receiveData(event.stream, event.bytes.length);
      } else if (event.type === "closed" || event.type === "reset") {
        this.#open.delete(event.stream);
      }
    }
    holds(this.#open.size <= maxStreams, "More streams live than may", this.#open.size);
  }

  #receiveData(id: number, bytes: number): void {
    const unconsumed = (this.#open.get(id) ?? 0) + bytes;
    holds(this.#open.has(id), "Bytes came for a stream that is not open", id);
    holds(unconsumed <= windowBytes, "More came than the window allows", unconsumed);
    this.#open.set(id, unconsumed);
    if (unconsumed % 3 !== 0) {
      this.#consume(id);
    }
  }

  #openStream(): void {
    const id = this.#session.open({
      engine: "postgres",
      kind: "session",
      grant: "grt_1",
      startup: Uint8Array.of(1, 2, 3),
      spare: "spr_1",
    });
    this.#open.set(id, 0);
  }

  #consume(id: number): void {
    this.#session.consumed(id, this.#open.get(id) ?? 0);
    this.#open.set(id, 0);
  }

  #reset(id: number): void {
    this.#session.reset(id, { code: "local.interrupted", message: "gone" });
    this.#open.delete(id);
  }
}
