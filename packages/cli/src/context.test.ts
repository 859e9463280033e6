import { describe, expect, it } from "vitest";
import { readEnvironment } from "./context.ts";
import { chooseServer } from "./login/servers.ts";

describe("readEnvironment", () => {
  it("keeps everything below the user's home, and logins in the keychain", () => {
    expect(readEnvironment({}, "/home/alice")).toEqual({
      home: "/home/alice/.jitdb",
      keychain: true,
      server: undefined,
      caFile: undefined,
      proxy: { proxy: undefined, noProxy: "" },
      color: true,
      forcedColumns: undefined,
      display: false,
    });
  });

  it("moves all of it with JITDB_HOME, so uses no keychain then", () => {
    const environment = readEnvironment({ JITDB_HOME: "/srv/x", JITDB_KEYCHAIN: "auto" }, "/root");
    expect(environment).toMatchObject({ home: "/srv/x", keychain: false });
  });

  it("uses no keychain with JITDB_KEYCHAIN=off", () => {
    expect(readEnvironment({ JITDB_KEYCHAIN: "off" }, "/root").keychain).toBe(false);
  });

  it("takes empty variables for unset ones, and lower-case proxies first", () => {
    const variables = { https_proxy: "", HTTPS_PROXY: "http://a", HTTP_PROXY: "http://b" };
    expect(readEnvironment(variables, "/root").proxy.proxy).toBe("http://a");
    expect(readEnvironment({ http_proxy: "http://b" }, "/root").proxy.proxy).toBe("http://b");
    expect(readEnvironment({ NO_COLOR: "" }, "/root").color).toBe(true);
    expect(readEnvironment({ NO_COLOR: "1" }, "/root").color).toBe(false);
  });

  it.each([
    ["100", 100],
    ["true", 80],
    ["", undefined],
  ])("takes JITDB_FORCE_TTY=%s for the width of the terminal to pretend", (text, columns) => {
    const variables = { JITDB_FORCE_TTY: text };
    expect(readEnvironment(variables, "/root").forcedColumns).toBe(columns);
  });
});

describe("chooseServer", () => {
  const known = (current: string | null) => ({
    servers: () => Promise.resolve({ current, servers: {} }),
  });

  it("prefers what was named to the last login", async () => {
    const chosen = await chooseServer("two.example.com", known("https://one.example.com"));
    expect(chosen).toBe("https://two.example.com");
    expect(await chooseServer(undefined, known("https://one.example.com"))).toBe(
      "https://one.example.com",
    );
  });

  it("names the login command where none is known", async () => {
    await expect(chooseServer(undefined, known(null))).rejects.toMatchObject({
      code: "server.none",
    });
  });
});
