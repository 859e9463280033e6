// Addresses of servers, as people type them and as everything else uses them.

import { JitdbError } from "@jitdb/shared/errors";
import { clean } from "../text.ts";

/**
 * A server's address as its origin (and path, where it has one) without a slash at the end: `jitdb.example.com` becomes
 * `https://jitdb.example.com`.
 * @throws JitdbError `usage.invalid` for what is no address, `server.insecure` for plain HTTP off loopback.
 */
export function parseServerAddress(text: string): string {
  const typed = text.trim();
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(typed) ? typed : `https://${typed}`);
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.hostname === "") {
    throw new JitdbError("usage.invalid", `"${clean(typed)}" is not a server's address.`, {
      hint: "Write it like https://jitdb.example.com.",
    });
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new JitdbError(
      "usage.invalid",
      "A server's address has no user, password, query or fragment.",
      { hint: `Write it like ${url.origin}.` },
    );
  }
  refusePlainHttp(url);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

/**
 * SECURITY: a token sent over plain HTTP can be read on the way; on loopback there is no way.
 * @throws JitdbError `server.insecure`
 */
export function refusePlainHttp(url: URL): void {
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    throw new JitdbError(
      "server.insecure",
      `${url.origin} is plain HTTP, and not on this machine.`,
    );
  }
}

/** Whether a URL's host name is this machine's. Names other than localhost are not trusted to stay on it. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** A URL's host name as sockets and lookups want it: an IPv6 address without its brackets. */
export function bareHost(hostname: string): string {
  return hostname.replace(/^\[(.+)\]$/, "$1");
}
