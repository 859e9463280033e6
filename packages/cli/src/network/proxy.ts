// Which connections go through the proxy. One rule for HTTP and WebSockets; it reads NO_PROXY as curl does.

import { bareHost, isLoopback } from "./address.ts";

export interface ProxySettings {
  /** Address of the proxy, with user and password where it wants them. */
  readonly proxy: string | undefined;
  /** NO_PROXY: hosts, `.domains`, `*.domains`, each with an optional port, or `*`; separated by commas or spaces. */
  readonly noProxy: string;
}

/** The proxy for connections to `target`, or undefined for a direct one. */
export function proxyFor(target: URL, settings: ProxySettings): string | undefined {
  // SECURITY: plain HTTP is for loopback alone, and a proxy would carry it, tokens and all, off the machine.
  if (settings.proxy === undefined || isLoopback(target.hostname)) {
    return undefined;
  }
  const host = bare(target.hostname.toLowerCase());
  const port = target.port === "" ? "443" : target.port;
  const exempt = settings.noProxy
    .toLowerCase()
    .split(/[,\s]+/)
    .some((entry) => entry !== "" && matches(entry, host, port));
  return exempt ? undefined : settings.proxy;
}

function matches(entry: string, host: string, port: string): boolean {
  const { name, entryPort } = splitPort(entry);
  if (entryPort !== undefined && entryPort !== port) {
    return false;
  }
  if (name === "*") {
    return true;
  }
  const domain = bare(name.replace(/^\*?\./, ""));
  // `*.example.com` means the names below it, the other two forms also the domain itself.
  return host.endsWith(`.${domain}`) || (host === domain && !name.startsWith("*"));
}

function splitPort(entry: string): { name: string; entryPort: string | undefined } {
  const match = /^(\[.+\]|[^:]+):(\d+)$/.exec(entry);
  return { name: match?.[1] ?? entry, entryPort: match?.[2] };
}

/** Without the brackets of an IPv6 address and the dot of a fully qualified name. */
function bare(name: string): string {
  return bareHost(name).replace(/(?<=.)\.$/, "");
}
