import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { apiError } from "@jitdb/shared/api/wire";
import { JitdbError } from "@jitdb/shared/errors";
import type { DeviceId, PersonId } from "@jitdb/shared/ids";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { AuditEvent } from "../../audit/record.ts";
import type { Credentials } from "../../identity/authenticator.ts";
import type { Caller } from "../../identity/caller.ts";
import { TrustedProxies } from "../proxies.ts";
import { serveWebSockets } from "./upgrades.ts";

const alice: Caller = {
  personId: "usr_alice" as PersonId,
  name: "alice",
  groups: [],
  administrator: false,
  deviceId: "device-a" as DeviceId,
  deviceLabel: "laptop",
  deviceConfirmed: true,
  tokenExpiresAt: 60_000,
  address: "127.0.0.1",
};

let server: Server;
let nowMs = 0;
let upgrades: { close(): Promise<void> };
let records: AuditEvent[];
let seen: Credentials[];
let accepted: WebSocket[];

beforeEach(async () => {
  records = [];
  seen = [];
  accepted = [];
  server = createServer();
  upgrades = serveWebSockets(server, {
    publicUrl: "https://jitdb.example.com",
    proxies: new TrustedProxies([]),
    authenticator: {
      async authenticate(credentials) {
        seen.push(credentials);
        if (credentials.authorization !== "DPoP good") {
          throw new JitdbError("login.required", "The call carries no login.");
        }
        return alice;
      },
    },
    journal: { record: (event) => records.push(event) },
    logger: pino({ enabled: false }),
    random: { bytes: (count) => new Uint8Array(count) },
    clock: { now: () => nowMs },
    endpoints: [
      {
        path: "/api/v1/tunnel",
        subprotocol: "jitdb.tunnel.v1",
        maxMessageBytes: 1024,
        maxPerPerson: 2,
        accept: (socket) => accepted.push(socket),
      },
    ],
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  await upgrades.close();
  server.close();
  await once(server, "close");
});

interface Attempt {
  readonly path?: string;
  readonly protocols?: readonly string[];
  readonly headers?: Record<string, string>;
}

function connect({ path = "/api/v1/tunnel", protocols, headers }: Attempt = {}): WebSocket {
  const { port } = server.address() as AddressInfo;
  return new WebSocket(`ws://127.0.0.1:${port}${path}`, [...(protocols ?? ["jitdb.tunnel.v1"])], {
    headers: { authorization: "DPoP good", dpop: "proof", ...headers },
  });
}

/** The answer to an upgrade that is refused. */
async function refusal(attempt: Attempt): Promise<{ status: number; code: string; head: unknown }> {
  const [, response]: [unknown, IncomingMessage] = (await once(
    connect(attempt),
    "unexpected-response",
  )) as [unknown, IncomingMessage];
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) {
    body += chunk;
  }
  const { code } = apiError.parse(JSON.parse(body)).error;
  return { status: response.statusCode ?? 0, code, head: response.headers };
}

describe("an upgrade (invariant 10)", () => {
  it("is authenticated against the public URL before it completes", async () => {
    const socket = connect();
    await once(socket, "open");
    expect(seen).toEqual([
      {
        method: "GET",
        url: "https://jitdb.example.com/api/v1/tunnel",
        authorization: "DPoP good",
        proof: "proof",
        address: "127.0.0.1",
      },
    ]);
    expect(socket.protocol).toBe("jitdb.tunnel.v1");
    expect(records).toEqual([]);
    socket.terminate();
  });

  it("of strangers is on record at a rate that fills no disk, and the rest is counted", async () => {
    const stranger = { headers: { authorization: "" } };
    for (let count = 0; count < 103; count += 1) {
      expect((await refusal(stranger)).status).toBe(401);
    }
    expect(records).toHaveLength(100);
    nowMs += 1000;
    await refusal(stranger);
    expect(records).toHaveLength(101);
    expect(records.at(-1)).toMatchObject({ kind: "tunnel.refused", unrecorded: 3 });
  });

  it("never compresses, though the client offers it", async () => {
    const socket = connect();
    await once(socket, "open");
    expect(socket.extensions).toBe("");
    socket.terminate();
  });

  it.each([
    ["an Origin", { headers: { origin: "https://evil.example" } }, 403, "access.forbidden"],
    [
      "its own Origin",
      { headers: { origin: "https://jitdb.example.com" } },
      403,
      "access.forbidden",
    ],
    ["a token in the URL", { path: "/api/v1/tunnel?token=good" }, 400, "usage.invalid"],
    [
      "a cookie for a login",
      { headers: { authorization: "", cookie: "a=b" } },
      401,
      "login.required",
    ],
    ["a bearer token", { headers: { authorization: "Bearer good" } }, 401, "login.required"],
    ["no subprotocol of ours", { protocols: ["other"] }, 400, "usage.invalid"],
  ] satisfies [string, Attempt, number, string][])(
    "is refused with %s, and that is on record (invariant 27)",
    async (_name, attempt, status, code) => {
      expect(await refusal(attempt)).toMatchObject({ status, code });
      expect(records).toMatchObject([{ kind: "tunnel.refused", code, address: "127.0.0.1" }]);
      expect(JSON.stringify(records)).not.toContain("good");
      expect(accepted).toEqual([]);
    },
  );

  it("is challenged where the login is missing", async () => {
    const { head } = await refusal({ headers: { authorization: "" } });
    expect(head).toMatchObject({ "www-authenticate": expect.stringMatching(/^DPoP /) });
  });

  it("is refused where nothing is", async () => {
    expect(await refusal({ path: "/api/v1/nope" })).toMatchObject({
      status: 404,
      code: "api.unknown",
    });
  });

  it("is refused beyond the connections that a person may have, until one closes", async () => {
    const sockets = [connect(), connect()];
    await Promise.all(sockets.map((socket) => once(socket, "open")));
    expect(await refusal({})).toMatchObject({ status: 429, code: "limit.reached" });
    expect(records).toMatchObject([{ kind: "tunnel.refused", person: "alice" }]);
    const closed = once(accepted[0] as WebSocket, "close");
    sockets[0]?.close();
    await closed;
    await once(connect(), "open");
  });

  it("ends a connection that sends more than a message may hold", async () => {
    const socket = connect();
    await once(socket, "open");
    accepted[0]?.on("error", () => undefined);
    socket.send(new Uint8Array(1025));
    const [code] = await once(socket, "close");
    expect(code).toBe(1009);
  });

  it("is refused while the server stops, which cuts those who do not leave", async () => {
    const socket = connect();
    await once(socket, "open");
    const closed = once(socket, "close");
    const closing = upgrades.close();
    expect(await refusal({})).toMatchObject({ status: 503, code: "tunnel.going_away" });
    await Promise.all([closing, closed]);
  });
});
