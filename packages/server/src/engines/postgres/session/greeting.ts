// What a client is told before its session begins, behind the proof of its password (PostgreSQL manual, "Start-up"). A client may have
// been told it ahead, by a login that is gone since.

import type { Random } from "@jitdb/shared/ids";
import { parseBackendKeyData } from "@jitdb/shared/postgres/backend";
import { MessageCollector } from "@jitdb/shared/postgres/decoder";
import {
  encodeAuthenticationOk,
  encodeBackendKeyData,
  encodeNegotiateProtocolVersion,
  encodeReadyForQuery,
} from "@jitdb/shared/postgres/encoder";
import { backendMessages } from "@jitdb/shared/postgres/messages";
import { encodeMessage } from "@jitdb/shared/postgres/writer";
import { CancelKey } from "./cancel.ts";
import type { LoggedIn } from "./login.ts";
import type { StartUp } from "./start-up.ts";

export interface Greeting {
  readonly bytes: Uint8Array;
  /** The one that it tells the client. */
  readonly key: CancelKey;
}

/**
 * NegotiateProtocolVersion where the client asked for more than there is, AuthenticationOk, the server's ParameterStatus messages,
 * BackendKeyData (the true process id, a secret of ours) and ReadyForQuery.
 */
export function greet(startUp: StartUp, login: LoggedIn, random: Random): Greeting {
  const key = CancelKey.create(login.key, random);
  const bytes = Buffer.concat([
    ...negotiate(startUp, login.version),
    encodeAuthenticationOk(),
    ...login.greeting,
    encodeBackendKeyData(key.data),
    encodeReadyForQuery("idle"),
  ]);
  return { bytes, key };
}

/** A greeting that a client has had. */
export interface Told {
  readonly key: CancelKey;
  /** Its messages, as text. */
  readonly known: ReadonlySet<string>;
}

/** @param bytes of `greet`: whoever gives others is wrong */
export function readGreeting(bytes: Uint8Array): Told {
  const known = new Set<string>();
  let key: CancelKey | undefined;
  const messages = new MessageCollector("backend", bytes.length);
  messages.push(bytes);
  for (let message = messages.next(); message; message = messages.next()) {
    known.add(toText(encodeMessage(message.type, message.body)));
    if (message.type === backendMessages.BackendKeyData) {
      const { processId, secret } = parseBackendKeyData(message.body);
      key = new CancelKey({ processId, secret });
    }
  }
  if (key === undefined) {
    throw new Error("A client was greeted without a cancel key.");
  }
  return { key, known };
}

/**
 * What such a client still has to be told: the parameters that are others in this login, which a server may tell at any time. Its cancel
 * key stays the one that it knows. Notices of the login are not said twice.
 */
export function greetAgain({ key, known }: Told, login: LoggedIn): Greeting {
  const news = login.greeting.filter(
    (message) => message[0] === backendMessages.ParameterStatus && !known.has(toText(message)),
  );
  return { bytes: Buffer.concat(news), key };
}

/** As the server: it tells what it agrees to where that is less than was asked for, or where it does not know an option. */
function negotiate({ version, protocolOptions }: StartUp, agreed: number): Uint8Array[] {
  return version === agreed && protocolOptions.length === 0
    ? []
    : [encodeNegotiateProtocolVersion(agreed, protocolOptions)];
}

function toText(message: Uint8Array): string {
  return Buffer.from(message).toString("latin1");
}
