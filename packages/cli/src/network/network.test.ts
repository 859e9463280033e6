import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "@jitdb/shared/secret";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import { type Network, type NetworkLimits, networkLimits, openNetwork } from "./network.ts";
import { testCertificate, testKey } from "./test-certificate.ts";
import { openWebSocket } from "./websocket.ts";

const tokens = {
  authorize: (method: string, url: string) =>
    Promise.resolve({ accessToken: new Secret("token"), proof: `${method} ${url}` }),
};
const clock = { now: () => 0 };

let folder: string;
let caFile: string;
let server: Server;
let proxy: Server;
let serverPort: number;
let connects: { authority: string; authorization: string | undefined }[] = [];
let upgrades: IncomingMessage[] = [];
let refuseWith: number | undefined;
const sockets = new Set<Socket>();
const networks: Network[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "jitdb-network-"));
  caFile = join(folder, "ca.pem");
  await writeFile(caFile, testCertificate);
  server = createTlsServer({ cert: testCertificate, key: testKey }, (request, response) => {
    response.end(JSON.stringify({ path: request.url }));
  });
  const webSockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    upgrades.push(request);
    if (request.url === "/refused") {
      const body = JSON.stringify({
        error: { code: "login.proof", message: "The proof is not new.", hint: "Again." },
      });
      const date = new Date(420_000).toUTCString();
      socket.end(
        `HTTP/1.1 401 Unauthorized\r\ndate: ${date}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
      return;
    }
    webSockets.handleUpgrade(request, socket, head, (accepted) => accepted.send("hello"));
  });
  proxy = createServer();
  proxy.on("connect", (request, client: Socket) => {
    const authority = request.url ?? "";
    connects.push({ authority, authorization: request.headers["proxy-authorization"] });
    if (refuseWith !== undefined) {
      client.end(`HTTP/1.1 ${refuseWith} No\r\n\r\n`);
      return;
    }
    // The name exists for the proxy alone: whoever does not go through it can't get there.
    const target = connectTcp(serverPort, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connected\r\n\r\n");
      client.pipe(target).pipe(client);
    });
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
    }
  });
  await Promise.all([listen(server), listen(proxy)]);
  serverPort = portOf(server);
});

beforeEach(() => {
  connects = [];
  upgrades = [];
  refuseWith = undefined;
});

afterAll(async () => {
  await Promise.all(networks.map((network) => network.close()));
  for (const socket of sockets) {
    socket.destroy();
  }
  server.closeAllConnections();
  server.close();
  proxy.close();
  await rm(folder, { recursive: true });
});

async function open(options: { noProxy?: string; ca?: boolean; user?: string } = {}) {
  const network = await openNetwork({
    proxy: {
      proxy: `http://${options.user ?? ""}127.0.0.1:${portOf(proxy)}`,
      noProxy: options.noProxy ?? "",
    },
    caFile: options.ca === false ? undefined : caFile,
  });
  networks.push(network);
  return network;
}

const call = { method: "GET", url: new URL("https://jitdb.test/x?y=1"), headers: {} } as const;

describe("HTTP through a proxy", () => {
  it("asks the proxy for a tunnel and trusts the given CA inside it", async () => {
    const network = await open();
    expect(await network.call(call)).toMatchObject({ status: 200, text: '{"path":"/x?y=1"}' });
    expect(connects).toEqual([{ authority: "jitdb.test:443", authorization: undefined }]);
    const answer = await network.fetch("https://jitdb.test/fetched", {
      method: "GET",
      headers: {},
    });
    expect(await answer.json()).toEqual({ path: "/fetched" });
  });

  it("gives the proxy its user and password", async () => {
    const network = await open({ user: "alice:p%40ss@" });
    await network.call(call);
    const basic = `Basic ${Buffer.from("alice:p@ss").toString("base64")}`;
    expect(connects[0]?.authorization).toBe(basic);
  });

  it("refuses a certificate of an authority that nobody named", async () => {
    const network = await open({ ca: false });
    await expect(network.call(call)).rejects.toMatchObject({
      code: "server.certificate",
      message:
        "The certificate of https://jitdb.test can't be trusted: DEPTH_ZERO_SELF_SIGNED_CERT.",
    });
  });

  it("says so when the proxy wants a password", async () => {
    refuseWith = 407;
    const network = await open();
    await expect(network.call(call)).rejects.toMatchObject({
      code: "server.unreachable",
      message: `The proxy 127.0.0.1:${portOf(proxy)} refuses to connect to jitdb.test:443 (407).`,
      hint: "Put user and password into HTTPS_PROXY: http://user:password@host:port.",
    });
  });

  it("goes around the proxy where NO_PROXY says so", async () => {
    const network = await open({ noProxy: "*" });
    await expect(network.call(call)).rejects.toMatchObject({ code: "server.unreachable" });
    expect(connects).toEqual([]);
  });

  it("refuses plain HTTP off loopback, whatever asks for it", async () => {
    const network = await open();
    const url = new URL("http://jitdb.test/");
    await expect(network.call({ ...call, url })).rejects.toMatchObject({ code: "server.insecure" });
  });

  it("says what is wrong with an address where nothing listens", async () => {
    const network = await open();
    const free = createServer();
    await listen(free);
    const url = new URL(`http://127.0.0.1:${portOf(free)}`);
    await new Promise((resolve) => free.close(resolve));
    await expect(network.call({ ...call, url })).rejects.toMatchObject({
      code: "server.unreachable",
      message: `Can't reach ${url.origin}: nothing listens there.`,
    });
  });

  it("refuses a CA file that holds no certificate", async () => {
    const options = { proxy: { proxy: undefined, noProxy: "" }, caFile: `${folder}/none.pem` };
    await expect(openNetwork(options)).rejects.toMatchObject({ code: "usage.invalid" });
  });
});

describe("HTTP to a server that does as it likes", () => {
  const limits = { ...networkLimits, connectTimeoutMs: 300, answerTimeoutMs: 300 };

  /** Calls a server that does this with each connection once a request has come, or as soon as it stands. */
  async function callTo(
    act: (socket: Socket) => void,
    { some = limits, at = "request" }: { some?: NetworkLimits; at?: "request" | "connection" } = {},
  ) {
    let connections = 0;
    const rude = createTcpServer((socket) => {
      connections += 1;
      socket.on("error", () => undefined);
      if (at === "connection") {
        act(socket);
      } else {
        socket.on("data", () => act(socket));
      }
    });
    await listen(rude);
    onTestFinished(() => void rude.close());
    const network = await openNetwork({ proxy: { proxy: undefined, noProxy: "" } }, some);
    networks.push(network);
    const url = new URL(`http://127.0.0.1:${portOf(rude)}/`);
    return { url, connections: () => connections, ask: () => network.call({ ...call, url }) };
  }

  const head = (length: number) => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n`;

  it("uses a connection again", async () => {
    const { ask, connections } = await callTo((socket) => socket.write(`${head(2)}ok`));
    expect((await ask()).text).toBe("ok");
    expect((await ask()).text).toBe("ok");
    expect(connections()).toBe(1);
  });

  it.each<[string, (socket: Socket) => void, string, string]>([
    ["says nothing", () => undefined, "server.unreachable", "no answer in time"],
    [
      "stops in the middle of its answer",
      (socket) => socket.write(`${head(10)}half`),
      "server.unreachable",
      "no answer in time",
    ],
    [
      "hangs up in the middle of its answer",
      (socket) => socket.end(`${head(10)}half`),
      "server.unreachable",
      "the connection was cut",
    ],
    ["hangs up", (socket) => socket.end(), "server.unreachable", "the connection was cut"],
    ["speaks something else", (socket) => socket.end("SSH-2.0-x\r\n"), "server.unsuitable", "HTTP"],
    [
      "changes the protocol unasked",
      (socket) => socket.write("HTTP/1.1 101 No\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
      "server.unreachable",
      "the connection",
    ],
  ])("that %s, is told from others", async (_name, act, code, message) => {
    const { ask } = await callTo(act);
    await expect(ask()).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it("takes no more than an answer can have", async () => {
    const some = { ...limits, maxAnswerBytes: 1000 };
    const { ask } = await callTo((socket) => socket.write(head(2000) + "x".repeat(2000)), { some });
    await expect(ask()).rejects.toMatchObject({ code: "server.unsuitable" });
  });

  it("gives a proxy that says nothing no longer than the connection has", async () => {
    const { url } = await callTo(() => undefined, { at: "connection" });
    const patient = { ...limits, answerTimeoutMs: 10_000 };
    const network = await openNetwork({ proxy: { proxy: url.href, noProxy: "" } }, patient);
    networks.push(network);
    await expect(network.call(call)).rejects.toMatchObject({
      code: "server.unreachable",
      message: `Can't reach the proxy ${url.host}: no answer in time.`,
    });
  });

  it("gives TLS no longer than the connection has", async () => {
    const { url } = await callTo(() => undefined, { at: "connection" });
    const patient = { ...limits, answerTimeoutMs: 10_000 };
    const network = await openNetwork({ proxy: { proxy: undefined, noProxy: "" } }, patient);
    networks.push(network);
    const secure = new URL(`https://127.0.0.1:${url.port}/`);
    await expect(network.call({ ...call, url: secure })).rejects.toMatchObject({
      code: "server.unreachable",
      message: `Can't reach ${secure.origin}: no answer in time.`,
    });
  });
});

describe("WebSockets through a proxy", () => {
  it("go the same way as HTTP, authorised, uncompressed, and lose no early message", async () => {
    const ports = { server: "https://jitdb.test", network: await open(), tokens, clock };
    const socket = await openWebSocket(ports, "/api/v1/events", "jitdb.events.v1");
    const message = await new Promise((resolve) => {
      socket.once("message", (data) => resolve(String(data)));
      socket.resume();
    });
    expect(message).toBe("hello");
    expect(connects).toEqual([{ authority: "jitdb.test:443", authorization: undefined }]);
    expect(upgrades[0]?.headers).toMatchObject({
      authorization: "DPoP token",
      dpop: "GET https://jitdb.test/api/v1/events",
      "sec-websocket-protocol": "jitdb.events.v1",
    });
    expect(upgrades[0]?.headers).not.toHaveProperty("sec-websocket-extensions");
    expect(upgrades[0]?.headers).not.toHaveProperty("cookie");
    socket.terminate();
  });

  it("tell what the server refused, and a clock that is wrong (invariant 3)", async () => {
    const ports = { server: "https://jitdb.test", network: await open(), tokens, clock };
    await expect(openWebSocket(ports, "/refused", "x.v1")).rejects.toMatchObject({
      code: "login.proof",
      message: "The proof is not new. This machine's clock is 7m behind the server's.",
      hint: "Again.",
    });
  });

  it("tell when the proxy refuses", async () => {
    refuseWith = 403;
    const ports = { server: "https://jitdb.test", network: await open(), tokens, clock };
    await expect(openWebSocket(ports, "/", "x.v1")).rejects.toMatchObject({
      code: "server.unreachable",
    });
  });
});

function listen(listener: TcpServer): Promise<void> {
  return new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
}

function portOf(listener: TcpServer): number {
  return (listener.address() as AddressInfo).port;
}
