// Where a connection really comes from, when proxies stand in between. Only addresses that the configuration trusts are believed.

import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";

export class TrustedProxies {
  readonly #list = new BlockList();

  /** @param ranges addresses and CIDR ranges, checked by the configuration */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address = "", bits] = range.split("/");
      const family = isIP(address) === 6 ? "ipv6" : "ipv4";
      if (bits === undefined) {
        this.#list.addAddress(address, family);
      } else {
        this.#list.addSubnet(address, Number(bits), family);
      }
    }
  }

  trusts(address: string): boolean {
    const bare = unmapped(address);
    const family = isIP(bare);
    return family > 0 && this.#list.check(bare, family === 6 ? "ipv6" : "ipv4");
  }

  /**
   * The nearest address that no trusted proxy vouches for.
   * SECURITY: read from the right, for everything left of the first stranger's address is the stranger's own invention.
   */
  clientAddress(request: Pick<IncomingMessage, "headers" | "socket">): string {
    let address = unmapped(request.socket.remoteAddress ?? "");
    const header = request.headers["x-forwarded-for"];
    const hops = (Array.isArray(header) ? header.join(",") : (header ?? "")).split(",");
    while (this.trusts(address)) {
      const hop = unmapped(hops.pop()?.trim() ?? "");
      if (isIP(hop) === 0) {
        return address;
      }
      address = hop;
    }
    return address;
  }
}

/** `::ffff:10.0.0.1` is how a dual-stack socket names 10.0.0.1. */
function unmapped(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}
