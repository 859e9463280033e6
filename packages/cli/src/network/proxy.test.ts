import { describe, expect, it } from "vitest";
import { proxyFor } from "./proxy.ts";

const proxy = "http://proxy.example.com:3128";

function isProxied(target: string, noProxy: string): boolean {
  return proxyFor(new URL(target), { proxy, noProxy }) !== undefined;
}

describe("proxyFor", () => {
  it.each([
    ["", true],
    ["example.com", false],
    [".example.com", false],
    ["*.example.com", false],
    ["JITDB.example.com.", false],
    ["jitdb.example.com:443", false],
    ["jitdb.example.com:8443", true],
    ["other.example.com, example.com", false],
    ["other.example.com example.com", false],
    ["db.example.com", true],
    ["ample.com", true],
    ["*", false],
    ["*:8443", true],
  ])("with NO_PROXY=%j proxies https://jitdb.example.com: %s", (noProxy, proxied) => {
    expect(isProxied("https://jitdb.example.com", noProxy)).toBe(proxied);
  });

  it("takes *.domain for the names below the domain only", () => {
    expect(isProxied("https://example.com", "*.example.com")).toBe(true);
    expect(isProxied("https://example.com", ".example.com")).toBe(false);
  });

  it("reads IPv6 addresses with and without brackets and ports", () => {
    expect(isProxied("https://[2001:db8::1]", "2001:db8::1")).toBe(false);
    expect(isProxied("https://[2001:db8::1]", "[2001:db8::1]:443")).toBe(false);
    expect(isProxied("https://[2001:db8::1]", "[2001:db8::1]:8443")).toBe(true);
  });

  it("never sends loopback through the proxy, which would carry plain HTTP off the machine", () => {
    expect(isProxied("http://127.0.0.1:8080", "")).toBe(false);
    expect(isProxied("http://localhost:8080", "")).toBe(false);
    expect(isProxied("http://[::1]:8080", "")).toBe(false);
  });

  it("gives none where none is set", () => {
    expect(proxyFor(new URL("https://x.example"), { proxy: undefined, noProxy: "" })).toBe(
      undefined,
    );
  });
});
