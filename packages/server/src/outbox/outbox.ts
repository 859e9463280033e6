// The outbox: one row an event and receiver, written in the transaction of the change, so that there is never the one
// without the other. Delivery is deliveries.ts's matter.

import { type Clock, type Random, randomBase32 } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { AuditEvent, AuditKind } from "../audit/record.ts";
import type { Tables } from "../store/tables.ts";
import { isWanted, toBody } from "./events.ts";

/** Somebody outside who hears of events: a webhook today. */
export interface Receiver {
  /** Names the rows that are theirs; stays the same from start to start. */
  readonly name: string;
  /** Absent: all events. */
  readonly events?: readonly string[];
  /** How long a message is tried for; absent: three days. */
  readonly giveUpMs?: number;
}

export const giveUpMs = 3 * 24 * 60 * 60_000;

export function giveUpMsOf(receiver: Receiver): number {
  return receiver.giveUpMs ?? giveUpMs;
}

export interface OutboxPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly receivers: readonly Receiver[];
}

export class Outbox {
  readonly #ports: OutboxPorts;

  constructor(ports: OutboxPorts) {
    this.#ports = ports;
  }

  /** Whether anybody does. */
  wants(kind: AuditKind): boolean {
    return this.#ports.receivers.some(({ events }) => isWanted(kind, events));
  }

  /** Adds a message for everybody who wants the event; for most events and installations that is nobody. */
  async add(tx: Kysely<Tables>, event: AuditEvent): Promise<void> {
    const { clock, random, receivers } = this.#ports;
    const wanting = receivers.filter(({ events }) => isWanted(event.kind, events));
    if (wanting.length === 0) {
      return;
    }
    const now = clock.now();
    const message = {
      // The same for every attempt: receivers tell by it what they have had before.
      message_id: `msg_${randomBase32(random, 26)}`,
      stream: await streamOf(tx, event),
      type: event.kind,
      body: toBody(event, now),
      created_at: now,
      next_attempt_at: now,
      last_error: null,
      settled_at: null,
    };
    await tx
      .insertInto("outbox")
      .values(
        wanting.map((receiver) => ({
          ...message,
          receiver: receiver.name,
          give_up_at: now + giveUpMsOf(receiver),
        })),
      )
      .execute();
  }
}

/** What an event comes in order with: its request, and for an extension the request of the grant that it extends. */
async function streamOf(tx: Kysely<Tables>, event: AuditEvent): Promise<string> {
  const request = "request" in event ? event.request : undefined;
  const asked =
    request === undefined
      ? undefined
      : await tx
          .selectFrom("requests")
          .select("extends_grant")
          .where("id", "=", request as Tables["requests"]["id"])
          .executeTakeFirst();
  const grant = asked?.extends_grant ?? (request === undefined ? event.grant : undefined);
  if (grant === undefined) {
    return request ?? event.device ?? event.person ?? event.kind;
  }
  const first = await tx
    .selectFrom("grants")
    .select("request_id")
    .where("id", "=", grant as Tables["grants"]["id"])
    .executeTakeFirst();
  return first?.request_id ?? grant;
}
