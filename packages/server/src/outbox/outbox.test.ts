import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Secret } from "@jitdb/shared/secret";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AuditEvent } from "../audit/record.ts";
import { Bus } from "../bus.ts";
import { webhooksSchema } from "../config/webhooks.ts";
import { openMemoryStore, type Store } from "../store/store.ts";
import { backlogs, retryNow } from "./backlog.ts";
import { Deliveries, deliveryLimits, type Message, type Sender } from "./deliveries.ts";
import { giveUpMs, Outbox, type Receiver } from "./outbox.ts";
import { webhookSender } from "./webhook.ts";

const clock = { ms: 0, now: () => clock.ms };
let counter = 0;
const random = {
  bytes: (count: number) => new Uint8Array(count).map(() => counter++ % 256),
};
let store: Store;
let staged: AuditEvent[];

beforeEach(async () => {
  clock.ms = Date.UTC(2026, 0, 1);
  staged = [];
  store = await openMemoryStore(clock);
});
afterEach(() => store.close());

const created = (request: string, reason = "INC-7"): AuditEvent => ({
  kind: "request.created",
  request,
  person: "alice",
  database: "prod-orders",
  profile: "read-only",
  durationMs: 60_000,
  reason,
  policy: "p",
  digest: "d",
});
const denied = (request: string): AuditEvent => ({
  kind: "request.denied",
  request,
  by: "bob",
  reason: "no",
});

async function write(events: readonly AuditEvent[], receivers: readonly Receiver[]): Promise<void> {
  const outbox = new Outbox({ clock, random, receivers });
  await store.transaction(async (tx) => {
    for (const event of events) {
      await outbox.add(tx, event);
    }
  });
}

function deliveriesOf(...senders: Sender[]): Deliveries {
  const trail = {
    stage: async (_tx: unknown, event: AuditEvent) => {
      staged.push(event);
    },
    drain: async () => undefined,
  };
  const onError = (error: unknown) => {
    throw error;
  };
  return new Deliveries({ store, clock, random, trail, bus: new Bus(), senders, onError });
}

/** Takes messages while `up`; keeps what it took, in order. */
function fakeSender(name: string) {
  const taken: Message[] = [];
  const sender = {
    name,
    taken,
    up: true,
    tries: 0,
    send: async (message: Message) => {
      sender.tries += 1;
      if (!sender.up) {
        throw new Error("hooks.example.com answered 503");
      }
      taken.push(message);
    },
  };
  return sender;
}

async function deliverAll(deliveries: Deliveries, sender: Sender): Promise<void> {
  while (await deliveries.deliver(sender)) {
    // A batch: there may be more.
  }
}

test("keeps no message of a change that was rolled back", async () => {
  const outbox = new Outbox({ clock, random, receivers: [{ name: "chat" }] });
  const change = store.transaction(async (tx) => {
    await outbox.add(tx, created("req_1"));
    throw new Error("rolled back");
  });
  await expect(change).rejects.toThrow("rolled back");
  expect(await store.db.selectFrom("outbox").selectAll().execute()).toEqual([]);
});

test("gives each receiver the events that it named, and no secrets of the trail", async () => {
  const chat = fakeSender("chat");
  const tickets = fakeSender("tickets");
  await write(
    [created("req_1"), denied("req_1"), { kind: "login.logged_out", person: "alice" }],
    [{ name: "chat" }, { name: "tickets", events: ["request.denied", "grant.*"] }],
  );
  const deliveries = deliveriesOf(chat, tickets);
  await deliverAll(deliveries, chat);
  await deliverAll(deliveries, tickets);
  expect(chat.taken.map(({ type }) => type)).toEqual(["request.created", "request.denied"]);
  expect(tickets.taken.map(({ body }) => JSON.parse(body))).toEqual([
    {
      type: "request.denied",
      timestamp: "2026-01-01T00:00:00.000Z",
      data: { request: "req_1", by: "bob", reason: "no" },
    },
  ]);
});

test("keeps the order of a request while its first message fails, and other requests' messages go on", async () => {
  const chat = fakeSender("chat");
  await write([created("req_1"), denied("req_1"), created("req_2")], [{ name: "chat" }]);
  chat.up = false;
  const deliveries = deliveriesOf(chat);
  chat.send = async (message) => {
    if (message.body.includes("req_1") && !chat.up) {
      throw new Error("down");
    }
    chat.taken.push(message);
  };
  await deliverAll(deliveries, chat);
  chat.up = true;
  clock.ms += deliveryLimits.firstBackoffMs;
  await deliverAll(deliveries, chat);
  const told = chat.taken.map(({ type, body }) => `${type} ${JSON.parse(body).data.request}`);
  expect(told).toEqual(["request.created req_2", "request.created req_1", "request.denied req_1"]);
});

test("sends what a restart cut off again, under the same id", async () => {
  await write([created("req_1")], [{ name: "chat" }]);
  const ids: string[] = [];
  const cut: Sender = {
    name: "chat",
    send: async ({ id }, signal) => {
      ids.push(id);
      await stopping;
      signal.throwIfAborted();
    },
  };
  const before = deliveriesOf(cut);
  const stopping = Promise.resolve().then(() => before.stop());
  await before.deliver(cut);
  const chat = fakeSender("chat");
  await deliverAll(deliveriesOf(chat), chat);
  expect(chat.taken.map(({ id }) => id)).toEqual(ids);
});

test("waits longer after each failure, and gives a dead receiver up with a record", async () => {
  const chat = fakeSender("chat");
  chat.up = false;
  await write([created("req_1")], [{ name: "chat" }]);
  const deliveries = deliveriesOf(chat);
  const rests: number[] = [];
  const end = clock.ms + giveUpMs + deliveryLimits.maxBackoffMs;
  while (clock.ms < end && staged.length === 0) {
    await deliverAll(deliveries, chat);
    const row = await store.db.selectFrom("outbox").selectAll().executeTakeFirstOrThrow();
    rests.push(row.next_attempt_at - clock.ms);
    clock.ms = Math.max(row.next_attempt_at, clock.ms + 1);
  }
  expect(rests[0]).toBeLessThanOrEqual(deliveryLimits.firstBackoffMs);
  expect(rests[3]).toBeGreaterThan(deliveryLimits.firstBackoffMs);
  expect(Math.max(...rests)).toBeLessThanOrEqual(deliveryLimits.maxBackoffMs);
  expect(staged).toMatchObject([
    { kind: "event.undelivered", receiver: "chat", error: "hooks.example.com answered 503" },
  ]);
  clock.ms += deliveryLimits.keepDeadMs + 1;
  await deliveries.prune(chat);
  expect(await store.db.selectFrom("outbox").selectAll().execute()).toEqual([]);
});

test("gives up as early as a receiver's configuration says, and tries again when it is told to", async () => {
  const hour = 60 * 60_000;
  const chat = fakeSender("chat");
  chat.up = false;
  const receivers = [{ name: "chat", giveUpMs: hour }, { name: "tickets" }];
  await write([created("req_1"), denied("req_1")], receivers);
  const deliveries = deliveriesOf(chat);
  clock.ms += hour;
  await deliverAll(deliveries, chat);
  expect(staged).toMatchObject([
    { kind: "event.undelivered", receiver: "chat", type: "request.created" },
    { kind: "event.undelivered", receiver: "chat", type: "request.denied" },
  ]);
  expect(await backlogs(store.db, [...receivers, { name: "idle" }])).toEqual([
    {
      name: "chat",
      waiting: 0,
      failed: 2,
      nextAttemptAt: null,
      lastError: "hooks.example.com answered 503",
    },
    { name: "idle", waiting: 0, failed: 0, nextAttemptAt: null, lastError: null },
    {
      name: "tickets",
      waiting: 2,
      failed: 0,
      nextAttemptAt: Date.UTC(2026, 0, 1),
      lastError: null,
    },
  ]);
  chat.up = true;
  await retryNow(store.db, clock, { name: "chat", giveUpMs: hour });
  await deliverAll(deliveries, chat);
  expect(chat.taken.map(({ type }) => type)).toEqual(["request.created", "request.denied"]);
  expect(staged).toHaveLength(2);
});

test("keeps messages of a receiver that is no longer configured for a while, and not for ever", async () => {
  await write([created("req_1")], [{ name: "gone" }, { name: "chat" }]);
  const deliveries = deliveriesOf(fakeSender("chat"));
  clock.ms += giveUpMs + deliveryLimits.keepDeadMs;
  await deliveries.pruneStrangers();
  expect((await backlogs(store.db, [])).map(({ name }) => name)).toEqual(["chat", "gone"]);
  clock.ms += 1;
  await deliveries.pruneStrangers();
  expect((await backlogs(store.db, [])).map(({ name }) => name)).toEqual(["chat"]);
});

test("signs as the scheme's own example has it", async () => {
  // The example of the Standard Webhooks libraries.
  const heard = await listen(200);
  clock.ms = 1_614_265_330_000;
  await webhookSender(heard.webhook, clock).send(
    { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", type: "test", body: '{"test": 2432232314}' },
    new AbortController().signal,
  );
  await heard.close();
  expect(heard.headers).toMatchObject({
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});

test("what a webhook gets passes the check in docs/operations.md, and nothing that was changed or is old does", async () => {
  const docs = join(import.meta.dirname, "..", "..", "..", "..", "docs", "operations.md");
  const [, code = ""] = /```js\n(.*?)```/s.exec(readFileSync(docs, "utf8")) ?? [];
  const { verify } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  const heard = await listen(200);
  const body = '{"type":"request.created"}';
  const message = { id: "msg_1", type: "request.created", body };
  await webhookSender(heard.webhook, clock).send(message, new AbortController().signal);
  await heard.close();
  const secret = heard.webhook.secret.reveal();
  expect(verify(secret, heard.headers, body, clock.ms)).toBe(true);
  expect(verify(secret, heard.headers, `${body} `, clock.ms)).toBe(false);
  expect(verify(secret, heard.headers, body, clock.ms + 3_600_000)).toBe(false);
});

test("follows no redirect, and takes it for a failure", async () => {
  const heard = await listen(302);
  const sent = webhookSender(heard.webhook, clock).send(
    { id: "msg_1", type: "test", body: "{}" },
    new AbortController().signal,
  );
  await expect(sent).rejects.toThrow(/answered 302$/);
  await heard.close();
  expect(heard.count()).toBe(1);
});

test("takes plain http for this machine alone, and no secret that is none", () => {
  const secret = new Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  const isRight = (hook: object) => webhooksSchema.safeParse({ chat: hook }).success;
  expect(isRight({ url: "https://hooks.example.com/x", secret, events: ["grant.*"] })).toBe(true);
  expect(isRight({ url: "https://hooks.example.com/x", secret, giveUp: "12h" })).toBe(true);
  expect(isRight({ url: "https://hooks.example.com/x", secret, giveUp: "59s" })).toBe(false);
  expect(isRight({ url: "https://hooks.example.com/x", secret, giveUp: "soon" })).toBe(false);
  expect(isRight({ url: "http://127.0.0.1:8080/x", secret })).toBe(true);
  expect(isRight({ url: "http://hooks.example.com/x", secret })).toBe(false);
  expect(isRight({ url: "https://hooks.example.com", secret: secret.reveal() })).toBe(false);
  expect(isRight({ url: "https://hooks.example.com", secret: new Secret("whsec_a") })).toBe(false);
  expect(isRight({ url: "https://hooks.example.com", secret, events: ["grants.*"] })).toBe(false);
});

async function listen(status: number) {
  const headers: Record<string, unknown> = {};
  let count = 0;
  const server: Server = createServer((request, response) => {
    count += 1;
    Object.assign(headers, request.headers);
    request.resume();
    response.writeHead(status, status === 302 ? { location: "/elsewhere" } : {}).end("x");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    headers,
    count: () => count,
    webhook: {
      name: "chat",
      url: `http://127.0.0.1:${port}/hook`,
      secret: new Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
