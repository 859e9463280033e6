// A network that fails, or has far to go: passes bytes between a jitdb CLI and its server, and cuts tunnels at the byte where it is told to.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Bytes, both directions together, after which a tunnel is cut; undefined: it lives. */
export type NextCut = () => number | undefined;

const tunnelRequest = Buffer.from("GET /api/v1/tunnel");

export class CuttingProxy {
  /** Asked for each new tunnel, handshake included. */
  nextCut: NextCut = () => undefined;
  /** How long bytes are on their way, in milliseconds. */
  delayMs = 0;
  readonly #server: Server;
  readonly #target: number;
  /** What comes is encrypted: nobody can tell tunnels from the rest, and all of it counts as one. */
  readonly #isBlind: boolean;
  readonly #tunnels = new Set<() => void>();
  readonly #sockets = new Set<Socket>();
  #cuts = 0;

  private constructor(target: number, isBlind: boolean) {
    this.#target = target;
    this.#isBlind = isBlind;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(port: number, target: number, isBlind = false): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, isBlind);
    proxy.#server.listen(port, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How often a tunnel was cut. */
  get cuts(): number {
    return this.#cuts;
  }

  /** Cuts the tunnels that are there. */
  cut(): void {
    for (const cut of [...this.#tunnels]) {
      cut();
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }

  #late(arrive: () => void): void {
    if (this.delayMs > 0) {
      setTimeout(arrive, this.delayMs);
    } else {
      arrive();
    }
  }

  #accept(client: Socket): void {
    const server = connect(this.#target, "127.0.0.1");
    const both = [client, server] as const;
    for (const socket of both) {
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    }
    let budget: number | undefined;
    const cut = () => {
      if (this.#tunnels.delete(cut)) {
        this.#cuts += 1;
      }
      for (const socket of both) {
        socket.resetAndDestroy();
      }
    };
    client.once("data", (first) => {
      if (this.#isBlind || first.subarray(0, tunnelRequest.length).equals(tunnelRequest)) {
        this.#tunnels.add(cut);
        budget = this.nextCut();
      }
    });
    const pass = (from: Socket, to: Socket) => {
      const arrive = (bytes: Buffer) => {
        const allowed = budget === undefined ? bytes.length : Math.min(budget, bytes.length);
        const isTaken = to.write(bytes.subarray(0, allowed));
        if (budget !== undefined) {
          budget -= allowed;
          if (budget === 0) {
            // What was let through arrives; then nothing more.
            to.end(() => cut());
            from.pause();
            return;
          }
        }
        if (!isTaken) {
          from.pause();
        }
      };
      from.on("data", (bytes) => this.#late(() => arrive(bytes)));
      to.on("drain", () => from.resume());
      from.on("close", () => {
        this.#tunnels.delete(cut);
        this.#late(() => to.destroy());
      });
    };
    pass(client, server);
    pass(server, client);
  }
}
