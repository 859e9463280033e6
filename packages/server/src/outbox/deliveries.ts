// Brings what is in the outbox to its receivers: at least once, in order within a stream, each receiver on its own, so that
// a dead one holds nobody else back.

import type { Clock, Random } from "@jitdb/shared/ids";
import type { Trail } from "../audit/trail.ts";
import type { Bus } from "../bus.ts";
import { type Repeated, repeat } from "../repeat.ts";
import type { Store } from "../store/store.ts";

export interface Message {
  readonly id: string;
  readonly type: string;
  /** JSON: `type`, `timestamp`, `data`. */
  readonly body: string;
}

/** A way out. Everything that shall tell people of events is one: webhooks, and what may come beside them. */
export interface Sender {
  /** The receiver's. */
  readonly name: string;
  /** Resolves when the receiver has taken it; throws with one line that says why not. */
  send(message: Message, signal: AbortSignal): Promise<void>;
}

export const deliveryLimits = {
  /** Messages of one receiver that are under way together, each of another stream. */
  batch: 16,
  firstBackoffMs: 5000,
  maxBackoffMs: 30 * 60_000,
  restMs: 5000,
  /** Between looks for messages to receivers that are no longer configured. */
  strangersMs: 60 * 60_000,
  keepDeliveredMs: 24 * 60 * 60_000,
  keepDeadMs: 30 * 24 * 60 * 60_000,
} as const;

export interface DeliveriesPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly trail: Trail;
  readonly bus: Pick<Bus, "on">;
  readonly senders: readonly Sender[];
  readonly onError: (error: unknown) => void;
}

type Row = Awaited<ReturnType<Deliveries["due"]>>[number];

export class Deliveries {
  readonly #ports: DeliveriesPorts;
  readonly #stopping = new AbortController();
  #loops: Repeated[] = [];
  #stopHints: () => void = () => undefined;

  constructor(ports: DeliveriesPorts) {
    this.#ports = ports;
  }

  start(): void {
    const { senders, bus, onError } = this.#ports;
    this.#loops = senders.map((sender) =>
      repeat(async () => {
        await this.prune(sender);
        return (await this.deliver(sender)) ? 0 : deliveryLimits.restMs;
      }, onError),
    );
    this.#loops.push(
      repeat(async () => {
        await this.pruneStrangers();
        return deliveryLimits.strangersMs;
      }, onError),
    );
    this.#stopHints = bus.on(({ type }) => {
      if (type !== "session") {
        for (const loop of this.#loops) {
          loop.wake();
        }
      }
    });
  }

  /** What is under way is cut off, and sent again after the next start. */
  async stop(): Promise<void> {
    this.#stopHints();
    this.#stopping.abort();
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }

  /** One batch. @returns whether there may be more that is due */
  async deliver(sender: Sender): Promise<boolean> {
    const rows = await this.due(sender.name);
    await Promise.all(rows.map((row) => this.#attempt(sender, row)));
    return rows.length > 0 && !this.#stopping.signal.aborted;
  }

  /** The first undelivered message of each stream whose time has come. */
  async due(receiver: string) {
    const { store, clock } = this.#ports;
    return await store.db
      .selectFrom("outbox")
      .selectAll()
      .where("receiver", "=", receiver)
      .where("state", "=", "waiting")
      .where("next_attempt_at", "<=", clock.now())
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom("outbox as before")
              .select("before.id")
              .whereRef("before.receiver", "=", "outbox.receiver")
              .whereRef("before.stream", "=", "outbox.stream")
              .where("before.state", "=", "waiting")
              .whereRef("before.id", "<", "outbox.id"),
          ),
        ),
      )
      // Those that failed before have their turn, too, however much is new.
      .orderBy("next_attempt_at")
      .orderBy("id")
      .limit(deliveryLimits.batch)
      .execute();
  }

  /** Forgets what was settled long enough ago. */
  async prune({ name }: Pick<Sender, "name">): Promise<void> {
    const { store, clock } = this.#ports;
    for (const [state, keepMs] of [
      ["delivered", deliveryLimits.keepDeliveredMs],
      ["dead", deliveryLimits.keepDeadMs],
    ] as const) {
      await store.db
        .deleteFrom("outbox")
        .where("receiver", "=", name)
        .where("state", "=", state)
        .where("settled_at", "<", clock.now() - keepMs)
        .execute();
    }
  }

  /** Forgets what waits for receivers that nobody configures any more: they may come back, but not for ever. */
  async pruneStrangers(): Promise<void> {
    const { store, clock, senders } = this.#ports;
    const names = senders.map(({ name }) => name);
    await store.db
      .deleteFrom("outbox")
      .where("give_up_at", "<", clock.now() - deliveryLimits.keepDeadMs)
      .$if(names.length > 0, (query) => query.where("receiver", "not in", names))
      .execute();
  }

  async #attempt(sender: Sender, row: Row): Promise<void> {
    const { store, clock } = this.#ports;
    const { message_id: id, type, body } = row;
    try {
      await sender.send({ id, type, body }, this.#stopping.signal);
    } catch (error) {
      if (!this.#stopping.signal.aborted) {
        await this.#failed(row, error instanceof Error ? error.message : String(error));
      }
      return;
    }
    await store.db
      .updateTable("outbox")
      .set({ state: "delivered", attempts: row.attempts + 1, settled_at: clock.now() })
      .where("id", "=", row.id)
      .execute();
  }

  async #failed(row: Row, problem: string): Promise<void> {
    const { store, clock, trail } = this.#ports;
    const now = clock.now();
    const attempts = row.attempts + 1;
    const failed = { attempts, last_error: problem.slice(0, 500) };
    if (now < row.give_up_at) {
      const next_attempt_at = now + this.#backoffMs(attempts);
      const set = { ...failed, next_attempt_at };
      await store.db.updateTable("outbox").set(set).where("id", "=", row.id).execute();
      return;
    }
    await store.transaction(async (tx) => {
      const set = { ...failed, state: "dead" as const, settled_at: now };
      await tx.updateTable("outbox").set(set).where("id", "=", row.id).execute();
      await trail.stage(tx, {
        kind: "event.undelivered",
        receiver: row.receiver,
        message: row.message_id,
        type: row.type,
        attempts,
        error: failed.last_error,
      });
    });
    await trail.drain();
  }

  /** Twice as long each time, and by chance up to half of it less, so that receivers that return are not all asked at once. */
  #backoffMs(attempts: number): number {
    const { firstBackoffMs, maxBackoffMs } = deliveryLimits;
    const whole = Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(attempts - 1, 20));
    const [chance = 0] = this.#ports.random.bytes(1);
    return Math.round(whole * (1 - chance / 510));
  }
}
