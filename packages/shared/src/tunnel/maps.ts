// The JSON maps that some frames carry: schemas, and text to values and back. Unknown keys are ignored, so that a newer
// peer may add some; bytes are base64 on the wire only. Implements docs/tunnel-protocol.md §5.

import * as z from "zod";
import { JitdbError } from "../errors.ts";
import { Secret } from "../secret.ts";
import type { MapType } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";

/** The revision of the protocol that this code speaks; two peers use the lower one of theirs. */
export const tunnelVersion = 2;

const bytes = z.codec(
  z.base64(),
  z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  {
    decode: (text) => z.util.base64ToUint8Array(text),
    encode: (value) => z.util.uint8ArrayToBase64(value),
  },
);

const secret = z.codec(z.string().min(1).max(16_384), z.instanceof(Secret), {
  decode: (text) => new Secret(text),
  encode: (value) => value.reveal(),
});

const id = z.string().min(1).max(128);
const keyword = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/);

/** SECURITY: control characters of a peer's text could drive a terminal or forge a line of a log, so they become spaces. */
const text = z
  .string()
  .overwrite((value) => value.replaceAll(/\p{Cc}/gu, " ").slice(0, tunnelLimits.maxTextChars));

/** An error as it travels: a code of the catalogue (or of a newer peer's), what happened, and what to do. */
const failure = z.object({
  code: z.string().regex(/^[a-z][a-z0-9_.]{0,63}$/),
  message: text,
  hint: text.optional(),
});

/** What the maps of each frame type hold. */
export const mapSchemas = {
  HELLO: z.object({
    version: z.int().min(1),
    /** Name and version of the program, for logs. */
    software: text,
    /** Streams that the sender lets its peer keep open at once; sent by the gateway. */
    maxStreams: z.int().min(1).optional(),
    /** Credit that every stream has from the start, in the direction towards the sender of this map. */
    windowBytes: z.int().min(1).max(tunnelLimits.maxWindowBytes),
    /** Agent: goes on with the tunnel that this ticket stands for; so many RESUME frames follow. */
    resume: z.object({ ticket: secret, streams: z.int().min(0) }).optional(),
    /** Gateway: it does; so many RESUME frames follow. Absent: this is a new tunnel. */
    resumed: z.object({ streams: z.int().min(0) }).optional(),
    /** Gateway: what the agent resumes this tunnel with, once, and how long a lost one is kept. */
    ticket: z.object({ value: secret, parkedMs: z.int().min(0) }).optional(),
  }),
  AUTH: z.object({
    accessToken: secret,
    /** A DPoP proof (RFC 9449) for the URL of the tunnel. */
    proof: z.string().min(1).max(16_384),
  }),
  OPEN: z.object({
    engine: keyword,
    kind: z.enum(["session", "cancel"]),
    grant: id,
    /** The engine's own first message: what the client sent at its start. */
    startup: bytes,
    /** The announced session that the client was greeted with: what it sends may stand right behind this. */
    spare: id.optional(),
  }),
  OPENED: z.object({ session: id }),
  RESET: failure,
  GOAWAY: failure,
  NOTICE: z.object({
    kind: z.enum(["expiring", "extended", "revoked", "expired"]),
    grant: id,
    /** ISO 8601, UTC. */
    expiresAt: z.iso.datetime(),
    message: text,
  }),
  /** A session that is logged in already: the next client with the same start-up may be greeted at once. */
  SPARE: z.object({
    /** SECURITY: by chance, so that one of another tunnel can't be named, or one of an earlier gateway taken for it. */
    id,
    engine: keyword,
    grant: id,
    /** Of the client, byte for byte. */
    startup: bytes,
    /** What the gateway would send that client first. */
    greeting: bytes,
  }),
  /** That session is there no longer. */
  SPENT: z.object({ id }),
} as const satisfies Record<MapType, z.ZodType>;

/** The value of the map that frames of this type carry. */
export type MapOf<T extends MapType> = z.output<(typeof mapSchemas)[T]>;

export type HelloMap = MapOf<"HELLO">;
export type AuthMap = MapOf<"AUTH">;
export type OpenMap = MapOf<"OPEN">;
export type OpenedMap = MapOf<"OPENED">;
export type ResetMap = MapOf<"RESET">;
export type GoAwayMap = MapOf<"GOAWAY">;
export type NoticeMap = MapOf<"NOTICE">;
export type SpareMap = MapOf<"SPARE">;
export type SpentMap = MapOf<"SPENT">;

/**
 * Encodes a map as the payload of its frame; the caller owns the bytes.
 * @throws JitdbError `tunnel.protocol` for a value that the schema refuses, `tunnel.too_large` for one that no frame holds.
 */
export function encodeMap<T extends MapType>(type: T, value: MapOf<T>): Uint8Array {
  const encoded = z.safeEncode(mapSchemas[type], value);
  if (!encoded.success) {
    throw invalidMap(type, encoded.error);
  }
  const payload = new TextEncoder().encode(JSON.stringify(encoded.data));
  if (payload.byteLength > tunnelLimits.maxMapPayloadBytes) {
    throw new JitdbError(
      "tunnel.too_large",
      `A ${type} map of ${payload.byteLength} bytes is over the limit of ${tunnelLimits.maxMapPayloadBytes}.`,
    );
  }
  return payload;
}

/**
 * Decodes the payload of a frame; keeps no view of it.
 * @throws JitdbError `tunnel.protocol` for bytes that are not UTF-8, not JSON, or not what the schema asks for.
 */
export function decodeMap<T extends MapType>(type: T, payload: Uint8Array): MapOf<T> {
  const decoded = z.safeDecode(
    mapSchemas[type] as unknown as z.ZodType<MapOf<T>>,
    parseJson(type, payload),
  );
  if (!decoded.success) {
    throw invalidMap(type, decoded.error);
  }
  return decoded.data;
}

function parseJson(type: MapType, payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload));
  } catch {
    // biome-ignore lint/style/useErrorCause: SECURITY: the parser's error quotes the text, which may hold a token that a log would print.
    throw new JitdbError("tunnel.protocol", `A ${type} map is not JSON in UTF-8.`);
  }
}

/** SECURITY: names the keys and never the values, which may be tokens. */
function invalidMap(type: MapType, error: z.core.$ZodError): JitdbError {
  const keys = new Set(error.issues.map((issue) => issue.path.join(".") || "the map itself"));
  return new JitdbError("tunnel.protocol", `A ${type} map is invalid at: ${[...keys].join(", ")}.`);
}
