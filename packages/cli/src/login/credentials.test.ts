import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isWindows } from "../platform.ts";
import { type Login, openCredentials } from "./credentials.ts";

const one = "https://one.example.com";
const two = "https://two.example.com";

function sampleLogin(over: Partial<Login> = {}): Login {
  return {
    key: new Secret('{"kty":"EC"}'),
    refreshToken: new Secret("refresh-canary"),
    accessToken: new Secret("access-canary"),
    accessTokenExpiresAt: 1,
    clientId: "jitdb-cli",
    ...over,
  };
}

/** A keychain in memory; `broken` makes it fail as a locked one does. */
function createKeychain() {
  const items = new Map<string, string>();
  const keychain = {
    items,
    broken: false,
    get: (account: string) => guarded(() => items.get(account)),
    set: (account: string, value: string) =>
      guarded(() => {
        items.set(account, value);
      }),
    delete: (account: string) =>
      guarded(() => {
        items.delete(account);
      }),
  };
  function guarded<T>(work: () => T): Promise<T> {
    return keychain.broken
      ? Promise.reject(new JitdbError("local.storage", "The keychain can't be used: locked."))
      : Promise.resolve(work());
  }
  return keychain;
}

let home: string;
beforeEach(async () => {
  home = join(await mkdtemp(join(tmpdir(), "jitdb-home-")), "jitdb");
});
afterEach(() => rm(join(home, ".."), { recursive: true }));

const mode = async (path: string) => (await stat(path)).mode & 0o777;

describe("logins in a file", () => {
  it.skipIf(isWindows)(
    "rest with mode 0600 in a folder with mode 0700 (invariant 37)",
    async () => {
      const credentials = openCredentials({ home, keychain: false });
      expect(await credentials.add(one, "alice", sampleLogin())).toBe("file");
      expect(await mode(home)).toBe(0o700);
      expect(await mode(join(home, "credentials.json"))).toBe(0o600);
      expect(await mode(join(home, "servers.json"))).toBe(0o600);
      expect(await readFile(join(home, "servers.json"), "utf8")).not.toContain("canary");
    },
  );

  it("come back as they were", async () => {
    await openCredentials({ home, keychain: false }).add(one, "alice", sampleLogin());
    const login = await openCredentials({ home, keychain: false }).read(one);
    expect(login?.refreshToken?.reveal()).toBe("refresh-canary");
    expect(login?.accessToken?.reveal()).toBe("access-canary");
    expect(JSON.stringify(login)).not.toContain("canary");
  });

  it("stand beside each other; the last used server is the default", async () => {
    const credentials = openCredentials({ home, keychain: false });
    await credentials.add(one, "alice", sampleLogin());
    await credentials.add(two, "alice", sampleLogin({ refreshToken: new Secret("second") }));
    expect((await credentials.servers()).current).toBe(two);
    expect((await credentials.read(one))?.refreshToken?.reveal()).toBe("refresh-canary");
    await credentials.remove(two);
    expect((await credentials.servers()).current).toBe(one);
    expect(await credentials.read(two)).toBe(undefined);
    expect(await readFile(join(home, "credentials.json"), "utf8")).not.toContain("second");
  });

  it.skipIf(isWindows)(
    "are refused when others could read them, with the command to run",
    async () => {
      const credentials = openCredentials({ home, keychain: false });
      await credentials.add(one, "alice", sampleLogin());
      await chmod(join(home, "credentials.json"), 0o644);
      await expect(credentials.read(one)).rejects.toMatchObject({
        code: "local.storage",
        message: `${join(home, "credentials.json")} is open to other users (mode 0644).`,
        hint: `Run \`chmod 600 '${join(home, "credentials.json")}'\`.`,
      });
      await chmod(home, 0o755);
      await expect(credentials.servers()).rejects.toMatchObject({
        hint: `Run \`chmod 700 '${home}'\`.`,
      });
    },
  );

  it("tell when their file is damaged", async () => {
    const credentials = openCredentials({ home, keychain: false });
    await credentials.add(one, "alice", sampleLogin());
    await writeFile(join(home, "servers.json"), "{");
    await expect(credentials.read(one)).rejects.toMatchObject({
      code: "local.storage",
      message: `What is kept in ${join(home, "servers.json")} is damaged.`,
    });
  });
});

describe("logins in the keychain", () => {
  it("leave no secret on the disk (invariant 37)", async () => {
    const keychain = createKeychain();
    const credentials = openCredentials({ home, keychain: true }, keychain);
    expect(await credentials.add(one, "alice", sampleLogin())).toBe("keychain");
    expect((await credentials.read(one))?.refreshToken?.reveal()).toBe("refresh-canary");
    await expect(stat(join(home, "credentials.json"))).rejects.toThrow("ENOENT");
    await credentials.remove(one);
    expect(keychain.items.size).toBe(0);
  });

  it("fall to the file where there is no keychain", async () => {
    const keychain = createKeychain();
    keychain.broken = true;
    const credentials = openCredentials({ home, keychain: true }, keychain);
    expect(await credentials.add(one, "alice", sampleLogin())).toBe("file");
    expect((await credentials.read(one))?.refreshToken?.reveal()).toBe("refresh-canary");
  });

  it("are not lost when the keychain fails at a rotation", async () => {
    const keychain = createKeychain();
    const credentials = openCredentials({ home, keychain: true }, keychain);
    await credentials.add(one, "alice", sampleLogin());
    keychain.broken = true;
    await credentials.update(one, sampleLogin({ refreshToken: new Secret("rotated") }));
    expect((await credentials.read(one))?.refreshToken?.reveal()).toBe("rotated");
  });

  it("say that the keychain does not answer, and not that nobody is logged in", async () => {
    const keychain = createKeychain();
    const credentials = openCredentials({ home, keychain: true }, keychain);
    await credentials.add(one, "alice", sampleLogin());
    keychain.broken = true;
    await expect(credentials.read(one)).rejects.toMatchObject({ code: "local.storage" });
  });

  it("leave out an access token that makes the item larger than Windows takes", async () => {
    const keychain = createKeychain();
    const credentials = openCredentials({ home, keychain: true }, keychain);
    const accessToken = new Secret("x".repeat(2500));
    await credentials.add(one, "alice", sampleLogin({ accessToken }));
    const login = await credentials.read(one);
    expect(login?.accessToken).toBe(null);
    expect(login?.refreshToken?.reveal()).toBe("refresh-canary");
  });
});
