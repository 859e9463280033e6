import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Inlet } from "./inlet.ts";

const total = 8 * 1024 * 1024;
let server: Server;
let peer: Socket;
let socket: Socket;
let inlet: Inlet;

beforeEach(async () => {
  server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  inlet = new Inlet(setImmediate);
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, "connection");
  socket = connect({ host: "127.0.0.1", port, onread: inlet.onread });
  inlet.bind(socket);
  [peer] = await accepted;
});

afterEach(() => {
  socket.destroy();
  peer.destroy();
  server.close();
});

it("reads all that comes, in turns that others have theirs between", async () => {
  let bytes = 0;
  let turns = 0;
  let ofTurn = 0;
  let mostOfTurn = 0;
  const turn = () => {
    turns += 1;
    mostOfTurn = Math.max(mostOfTurn, ofTurn);
    ofTurn = 0;
    if (bytes < total) {
      setImmediate(turn);
    }
  };
  setImmediate(turn);
  const over = new Promise<void>((resolve) => {
    inlet.read((chunk) => {
      bytes += chunk.byteLength;
      ofTurn += chunk.byteLength;
      if (bytes === total) {
        resolve();
      }
    });
  });
  peer.write(new Uint8Array(total));
  await over;
  // One read is up to 256 KB, and a turn goes on until it has as much.
  expect(mostOfTurn).toBeLessThan(2 * 256 * 1024);
  expect(turns).toBeGreaterThan(total / (2 * 256 * 1024));
});

it("leaves a socket alone that its owner has paused, and goes on when it is resumed", async () => {
  let bytes = 0;
  const paused = new Promise<void>((resolve) => {
    inlet.read((chunk) => {
      bytes += chunk.byteLength;
      socket.pause();
      resolve();
    });
  });
  peer.write(new Uint8Array(total));
  await paused;
  const before = bytes;
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise(setImmediate);
  }
  expect(bytes).toBe(before);
  const over = new Promise<void>((resolve) => {
    inlet.read((chunk) => {
      bytes += chunk.byteLength;
      if (bytes === total) {
        resolve();
      }
    });
  });
  socket.resume();
  await over;
});
