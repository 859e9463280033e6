// Calls to identity providers: what their documents name is fetched with care, as it decides who may log in.

const maxAnswerBytes = 1024 * 1024;

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** SECURITY: no redirects, which could lead into this network, and no answer that fills the memory. */
export function boundedFetch(fetchIt: Fetch = fetch): Fetch {
  return async (url, init) => {
    const response = await fetchIt(url, { ...init, redirect: "error" });
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > maxAnswerBytes) {
        throw new Error(`${new URL(url).origin} answered with more than ${maxAnswerBytes} bytes.`);
      }
      chunks.push(chunk);
    }
    const { status, headers } = response;
    return new Response(status === 204 ? null : Buffer.concat(chunks), { status, headers });
  };
}

/**
 * An address that an issuer's document names. SECURITY: whoever can change keys on their way here can log in as anybody.
 * @throws Error for plain HTTP, unless the issuer itself is on this machine and speaks it, and for what is no address
 */
export function namedAddress(issuer: string, named: unknown): URL {
  const url = typeof named === "string" ? URL.parse(named) : null;
  const allowed = issuer.startsWith("http:") ? ["https:", "http:"] : ["https:"];
  if (url === null || !allowed.includes(url.protocol)) {
    throw new Error(`The discovery document of ${issuer} names an address that is not https://.`);
  }
  return url;
}
