import { describe, expect, it } from "vitest";
import { parseServerAddress } from "./address.ts";

describe("parseServerAddress", () => {
  it.each([
    ["jitdb.example.com", "https://jitdb.example.com"],
    [" https://JITDB.example.com/ ", "https://jitdb.example.com"],
    ["https://example.com:8443/jitdb/", "https://example.com:8443/jitdb"],
    ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["http://localhost:8080", "http://localhost:8080"],
    ["http://[::1]:8080", "http://[::1]:8080"],
  ])("reads %j as %s", (text, address) => {
    expect(parseServerAddress(text)).toBe(address);
  });

  it.each([
    ["http://jitdb.example.com", "server.insecure"],
    ["http://localhost.example.com", "server.insecure"],
    ["http://127.0.0.1.example.com", "server.insecure"],
    ["ftp://example.com", "usage.invalid"],
    ["", "usage.invalid"],
    ["a b", "usage.invalid"],
    ["https://user:pass@example.com", "usage.invalid"],
    ["https://example.com/?x=1", "usage.invalid"],
  ])("refuses %j with %s", (text, code) => {
    expect(() => parseServerAddress(text)).toThrow(expect.objectContaining({ code }));
  });
});
