// One database client's connection inside the tunnel, as its two ends in the agent see it.

import { isErrorCode, JitdbError } from "@jitdb/shared/errors";
import type { ResetMap } from "@jitdb/shared/tunnel/maps";

/** What the tunnel tells whoever opened a stream. After `ended` nothing more comes. */
export interface StreamReceiver {
  /** From now on bytes may be written: the gateway has let the stream in, or it is greeted before that. */
  opened(): void;
  /** Bytes of the database, or the greeting that stands for its first ones; the receiver owns them and calls `consumed` once it has passed them on. */
  data(bytes: Uint8Array): void;
  /** A writer that was told false may go on. */
  writable(): void;
  /** The database sends no more; what is written still reaches it. */
  peerClosed(): void;
  /** The stream is over: closed in both directions, or, with an error, refused, reset or lost with its tunnel. */
  ended(error: JitdbError | undefined): void;
}

/** A stream of the agent. Calls for a stream that is over do nothing. */
export interface AgentStream {
  /** Takes the bytes over. False: pause until `writable`. */
  write(bytes: Uint8Array): boolean;
  /** The bytes of a `data` have reached their reader, who has no use for them any more: their memory is for what comes next. */
  consumed(bytes: Uint8Array): void;
  /** Ends this direction behind what was written. */
  close(): void;
  /** Ends both directions at once; the gateway learns why. */
  reset(error: JitdbError): void;
}

/** Opens a stream and resolves once it is asked for; whether it is let in, the receiver learns. */
export type OpenStream = (
  kind: "session" | "cancel",
  startup: Uint8Array,
  receiver: StreamReceiver,
) => Promise<AgentStream>;

/** What a peer's RESET or GOAWAY says, as an error of ours; a code of a newer server is shown as it is. */
export function toStreamError({ code, message, hint }: ResetMap): JitdbError {
  return isErrorCode(code)
    ? new JitdbError(code, message, { hint })
    : new JitdbError("internal", `${message} (${code})`, { hint });
}
