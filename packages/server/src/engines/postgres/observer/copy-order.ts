// Which messages of a client may come when: around COPY some would leave open what the server runs.
// Source: PostgreSQL manual, "COPY Operations"; what the server's main loop does.

import { JitdbError } from "@jitdb/shared/errors";
import { frontendMessages, messageName } from "@jitdb/shared/postgres/messages";
import type { Conversation } from "./conversation.ts";

const { CopyData, CopyDone, CopyFail, Flush, PasswordMessage, Sync, Terminate } = frontendMessages;

const copyMessages = new Set<number>([CopyData, CopyDone, CopyFail]);
/** What a server takes while it reads COPY data. */
const allowedInCopy = new Set<number>([CopyData, CopyDone, CopyFail, Flush, Sync, Terminate]);

/**
 * SECURITY: what leaves open which messages the server will skip would let a statement run that is recorded as skipped.
 * @throws JitdbError `postgres.protocol`
 */
export function checkOrder(
  type: number,
  { running, isUndecided, isSkipping, isAfterCopy, replies }: Conversation,
): void {
  const isInCopy = running?.isCopyingIn === true || running?.hasPassedSync === true;
  if ((isInCopy || isUndecided) && !allowedInCopy.has(type)) {
    throw unexpected(type, "while the database reads COPY data");
  }
  const mayBringCopy = isInCopy || isSkipping || isAfterCopy || replies.length === 0;
  if (copyMessages.has(type) && !mayBringCopy) {
    throw unexpected(type, "before the database asked for COPY data");
  }
  if (type === PasswordMessage) {
    throw unexpected(type, "after the login");
  }
}

function unexpected(type: number, when: string): JitdbError {
  const name = messageName("frontend", type) ?? "unknown";
  return new JitdbError("postgres.protocol", `The client sent a ${name} message ${when}.`);
}
