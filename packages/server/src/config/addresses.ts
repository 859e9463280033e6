// Which addresses are this machine's own.

/** Whether a host, as written in a URL or a configuration, can only be this machine. Names are not looked up: a name server could lie. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return bare === "localhost" || bare === "::1" || /^127(?:\.\d{1,3}){3}$/.test(bare);
}
