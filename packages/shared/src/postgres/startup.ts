// The untyped packets that open a connection, before there are messages: encryption requests, cancel, start-up.
// Source: PostgreSQL 18 manual, "Message Formats" and "Start-up"; the server's ProcessStartupPacket.

import { JitdbError } from "../errors.ts";
import type { BackendKeyData } from "./backend.ts";
import { postgresLimits } from "./messages.ts";
import { BodyReader, decodeLatin1 } from "./reader.ts";
import { cstring, encodeLatin1, encodePacket, int32, uint8 } from "./writer.ts";

/** Protocol versions as the start-up packet writes them: major in the high half, minor in the low. */
export const protocolVersions = { v3_0: 0x0003_0000, v3_2: 0x0003_0002 } as const;

/** The newest version that we know, so the newest that may be agreed on: of a later one we could not tell what its messages mean. */
export const newestProtocolVersion: number = protocolVersions.v3_2;

/** What stands in the version's place in the packets that are no start-up. */
const requestCodes = { cancel: 80_877_102, ssl: 80_877_103, gssEnc: 80_877_104 } as const;

export interface StartupParameter {
  /** One character (U+0000 … U+00FF) a byte. */
  readonly name: string;
  readonly value: Uint8Array;
}

export interface StartupMessage {
  readonly kind: "startup";
  readonly version: number;
  /** In the order of the packet, with repetitions: see {@link startupParameter}. */
  readonly parameters: readonly StartupParameter[];
}

export interface CancelRequest extends BackendKeyData {
  readonly kind: "cancel";
}

export type StartupPacket =
  | { readonly kind: "ssl" }
  | { readonly kind: "gssenc" }
  | CancelRequest
  | StartupMessage;

/** The value that the server goes by: of a repeated parameter, the last. Names are compared exactly, as it does for its own. */
export function startupParameter(message: StartupMessage, name: string): Uint8Array | undefined {
  return message.parameters.findLast((parameter) => parameter.name === name)?.value;
}

/** Options of the protocol itself, which a server that does not know them names in NegotiateProtocolVersion. */
export function isProtocolOption(name: string): boolean {
  return name.startsWith("_pq_.");
}

/**
 * The order in which a client may send them: each encryption once, then one start-up or one cancel, then no more
 * untyped packet (invariant 12). A missing cell is a protocol error.
 */
const transitions = {
  fresh: { ssl: "sslAsked", gssenc: "gssencAsked", cancel: "done", startup: "done" },
  sslAsked: { gssenc: "bothAsked", cancel: "done", startup: "done" },
  gssencAsked: { ssl: "bothAsked", cancel: "done", startup: "done" },
  bothAsked: { cancel: "done", startup: "done" },
  done: {},
} as const satisfies Record<string, Partial<Record<StartupPacket["kind"], string>>>;

type StartupState = keyof typeof transitions;

const noRest = new Uint8Array(0);

/**
 * Reads the packets that open a connection. `push` every chunk until it returns a packet; answer that one before pushing
 * more. After an encryption request was answered with `N`, go on with the same decoder; where it was accepted, the
 * encrypted stream gets `StartupDecoder.encrypted()`.
 */
export class StartupDecoder {
  #state: StartupState;
  #packet: Uint8Array = new Uint8Array(4);
  #filled = 0;
  #rest: Uint8Array = noRest;

  constructor() {
    this.#state = "fresh";
  }

  /** For the inside of an encrypted connection: no further encryption can be asked for. */
  static encrypted(): StartupDecoder {
    const decoder = new StartupDecoder();
    decoder.#state = "bothAsked";
    return decoder;
  }

  /** Bytes behind a start-up message in its last chunk: a view, to be given to the message decoder. */
  get rest(): Uint8Array {
    return this.#rest;
  }

  /**
   * @returns the packet once it is whole; its byte values are memory of its own
   * @throws JitdbError `postgres.protocol` for an impossible length (known after four bytes), a malformed packet, one out
   * of order, or bytes behind a request; `postgres.version` as {@link parseStartupPacket}
   */
  push(chunk: Uint8Array): StartupPacket | undefined {
    let offset = this.#fill(chunk, 0);
    if (this.#filled === 4 && this.#packet.length === 4) {
      this.#packet = this.#ofAnnouncedLength();
      offset = this.#fill(chunk, offset);
    }
    if (this.#packet.length === 4 || this.#filled < this.#packet.length) {
      return undefined;
    }
    const packet = parseStartupPacket(this.#packet);
    this.#state = nextState(this.#state, packet.kind);
    this.#packet = new Uint8Array(4);
    this.#filled = 0;
    this.#rest = chunk.subarray(offset);
    // SECURITY: what was sent before the answer to an encryption request would count as sent inside the encrypted
    // connection (CVE-2021-23214, invariant 13). Nothing may follow a cancel either.
    if (packet.kind !== "startup" && this.#rest.length > 0) {
      throw new JitdbError(
        "postgres.protocol",
        `${this.#rest.length} bytes came behind a ${packet.kind} request, before its answer.`,
      );
    }
    return packet;
  }

  #fill(chunk: Uint8Array, offset: number): number {
    const part = chunk.subarray(offset, offset + this.#packet.length - this.#filled);
    this.#packet.set(part, this.#filled);
    this.#filled += part.length;
    return offset + part.length;
  }

  #ofAnnouncedLength(): Uint8Array {
    const length = new DataView(this.#packet.buffer).getUint32(0);
    checkStartupLength(length);
    const packet = new Uint8Array(length);
    packet.set(this.#packet);
    return packet;
  }
}

/**
 * Parses one whole packet, length word included. Byte values are views.
 * @throws JitdbError `postgres.protocol`; `postgres.version` for a start-up of another major version than 3
 */
export function parseStartupPacket(packet: Uint8Array): StartupPacket {
  const reader = new BodyReader("start-up", packet);
  const length = reader.uint32();
  checkStartupLength(length);
  if (length !== packet.length) {
    throw reader.malformed(`it announces ${length} bytes and has ${packet.length}`);
  }
  const code = reader.uint32();
  switch (code) {
    case requestCodes.ssl:
      reader.end();
      return { kind: "ssl" };
    case requestCodes.gssEnc:
      reader.end();
      return { kind: "gssenc" };
    case requestCodes.cancel:
      return parseCancelRequest(reader);
    default:
      if (code >>> 16 !== 3) {
        throw new JitdbError(
          "postgres.version",
          `Protocol ${code >>> 16}.${code & 0xffff} is not supported: jitdb speaks 3.0 to 3.2.`,
        );
      }
      return { kind: "startup", version: code, parameters: parseParameters(reader) };
  }
}

/**
 * @throws JitdbError `postgres.too_large` above 10,000 bytes; `postgres.protocol` for a name that is empty or a string
 * with a NUL
 */
export function encodeStartupMessage(message: Omit<StartupMessage, "kind">): Uint8Array {
  const fields = message.parameters.flatMap(({ name, value }) => {
    if (name === "") {
      throw new JitdbError("postgres.protocol", "A start-up parameter has no name.");
    }
    return [cstring(encodeLatin1(name)), cstring(value)];
  });
  const packet = encodePacket(int32(message.version), fields, uint8(0));
  if (packet.length > postgresLimits.maxStartupBytes) {
    throw new JitdbError(
      "postgres.too_large",
      `A start-up packet holds at most ${postgresLimits.maxStartupBytes} bytes, not ${packet.length}.`,
    );
  }
  return packet;
}

export function encodeSslRequest(): Uint8Array {
  return encodePacket(int32(requestCodes.ssl));
}

export function encodeGssEncRequest(): Uint8Array {
  return encodePacket(int32(requestCodes.gssEnc));
}

export function encodeCancelRequest(key: BackendKeyData): Uint8Array {
  return encodePacket(int32(requestCodes.cancel), int32(key.processId), key.secret);
}

function nextState(state: StartupState, kind: StartupPacket["kind"]): StartupState {
  const cells: Partial<Record<StartupPacket["kind"], StartupState>> = transitions[state];
  const next = cells[kind];
  if (next === undefined) {
    throw new JitdbError("postgres.protocol", `A ${kind} packet came out of order.`);
  }
  return next;
}

function checkStartupLength(length: number): void {
  // The length word and the code are the least there can be.
  if (length < 8 || length > postgresLimits.maxStartupBytes) {
    throw new JitdbError("postgres.protocol", `A start-up packet announced ${length} bytes.`);
  }
}

function parseCancelRequest(reader: BodyReader): CancelRequest {
  const processId = reader.int32();
  const { minCancelKeyBytes, maxCancelKeyBytes } = postgresLimits;
  if (reader.remaining < minCancelKeyBytes || reader.remaining > maxCancelKeyBytes) {
    throw reader.malformed(`its cancel key has ${reader.remaining} bytes`);
  }
  return { kind: "cancel", processId, secret: reader.rest() };
}

function parseParameters(reader: BodyReader): StartupParameter[] {
  const parameters: StartupParameter[] = [];
  for (let name = reader.cstring(); name.length > 0; name = reader.cstring()) {
    parameters.push({ name: decodeLatin1(name), value: reader.cstring() });
  }
  // As the server: the terminator is the packet's last byte, or the layout is invalid.
  reader.end();
  return parameters;
}
