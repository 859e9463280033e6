import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import { describe, expect, it } from "vitest";
import type { Context } from "../context.ts";
import { instant, runWithFakes, testNow } from "../fakes.ts";
import type { Credentials, Login, Resting } from "../login/credentials.ts";

const server = "https://jitdb.example.com";

const login: Login = {
  key: new Secret("{}"),
  refreshToken: new Secret("refresh"),
  accessToken: new Secret("access"),
  accessTokenExpiresAt: testNow + 600_000,
  clientId: "jitdb-cli",
};

const started = {
  verificationUri: `${server}/device`,
  verificationUriComplete: `${server}/device?user_code=ABCD-EFGH`,
  userCode: "ABCD-EFGH",
  expiresAt: testNow + 600_000,
  deviceCode: new Secret("device"),
  intervalMs: 5000,
};

interface Parts {
  readonly restsIn?: Resting;
  readonly finish?: (started: unknown, key: Secret) => Promise<Login>;
  readonly revoke?: () => Promise<void>;
  readonly confirmed?: boolean;
  readonly stored?: Login | undefined;
  readonly context?: Partial<Context>;
}

function createFakes(parts: Parts) {
  const kept: unknown[] = [];
  const credentials: Credentials = {
    home: "/home/alice/.jitdb",
    servers: () => Promise.resolve({ current: server, servers: {} }),
    read: () => Promise.resolve("stored" in parts ? parts.stored : login),
    add: (address, person) => {
      kept.push(["add", address, person]);
      return Promise.resolve(parts.restsIn ?? "keychain");
    },
    update: () => Promise.resolve(),
    remove: (address) => {
      kept.push(["remove", address]);
      return Promise.resolve();
    },
    exclusively: (work) => work(),
  };
  const oauth = {
    start: () => Promise.resolve(started),
    finish: parts.finish ?? (() => Promise.resolve(login)),
    refresh: () => Promise.resolve(login),
    service: () => Promise.reject(new Error("no service logs in here")),
    revoke: parts.revoke ?? (() => Promise.resolve()),
  };
  const me = {
    person: "alice",
    groups: [],
    administrator: false,
    device: { id: "-d", label: "laptop (linux)", confirmed: parts.confirmed ?? true },
    tokenExpiresAt: instant(600),
    server: { version: "0.1.0", time: instant(0) },
  };
  const context: Partial<Context> = {
    credentials: () => Promise.resolve(credentials),
    oauth: () => Promise.resolve(oauth),
    ...parts.context,
  };
  return { kept, options: { context, api: { me: () => Promise.resolve(me) } } };
}

const asks =
  "Open this page:  https://jitdb.example.com/device\n" +
  "Enter the code:  ABCD-EFGH\n" +
  "Both in one:     https://jitdb.example.com/device?user_code=ABCD-EFGH\n";
const waits = "Waiting for you to confirm there; the code holds for 10m.\n";

const advice =
  "This device is new. Until somebody vouches for it, it gets nothing without an approval\n" +
  "and decides on nothing:\n" +
  "  on a device that you use already:\n" +
  "    jitdb devices confirm -- -d\n" +
  "  or have a request from here approved:\n" +
  "    jitdb request <database> --for 30m\n" +
  "  or, as the first administrator, on the server:\n" +
  "    jitdb-server devices confirm alice\n";

describe("jitdb login", () => {
  it("prints link and code together, waits, and says who is logged in", async () => {
    const { kept, options } = createFakes({});
    expect(await runWithFakes(["login", "jitdb.example.com"], options)).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: `${asks}${waits}Logged in to ${server} as alice.\n`,
    });
    expect(kept).toEqual([
      ["add", server, ""],
      ["add", server, "alice"],
    ]);
  });

  it("offers Enter where there are a terminal and a browser", async () => {
    const environment = { display: true } as Context["environment"];
    const { options } = createFakes({ context: { environment } });
    const { stderr } = await runWithFakes(["login", server], { ...options, terminal: true });
    expect(stderr).toContain(`${asks}Press Enter to open it in the browser.\n(spinner) ${waits}`);
  });

  it("says aloud when the login rests in a file", async () => {
    const { options } = createFakes({ restsIn: "file" });
    const { stderr } = await runWithFakes(["login", server], options);
    expect(stderr).toContain(
      "The login is kept in /home/alice/.jitdb, in a file that only you can read, and not in a keychain.\n",
    );
  });

  it("says what confirms a new device (invariant 2)", async () => {
    const { options } = createFakes({ confirmed: false });
    const { stderr } = await runWithFakes(["login", server], options);
    expect(stderr).toBe(`${asks}${waits}Logged in to ${server} as alice.\n${advice}`);
  });

  it("keeps nothing when the person denies", async () => {
    const finish = () => Promise.reject(new JitdbError("login.denied", "The login was denied."));
    const { kept, options } = createFakes({ finish });
    expect((await runWithFakes(["login", server], options)).exitCode).toBe(3);
    expect(kept).toEqual([]);
  });

  it("goes on with the device's key of the login before, and makes one where there is none", async () => {
    const keys: string[] = [];
    const finish = (_: unknown, key: Secret) => {
      keys.push(key.reveal());
      return Promise.resolve(login);
    };
    await runWithFakes(["login", server], createFakes({ finish }).options);
    await runWithFakes(["login", server], createFakes({ finish, stored: undefined }).options);
    expect(keys).toEqual([login.key.reveal(), expect.stringContaining('"kty"')]);
  });

  it("forgets a key that the server does not take, so that the next login begins anew", async () => {
    const finish = () => Promise.reject(new JitdbError("login.proof", "Refused."));
    const { kept, options } = createFakes({ finish });
    expect((await runWithFakes(["login", server], options)).exitCode).toBe(3);
    expect(kept).toEqual([["remove", server]]);
  });

  it("asks for the address in a terminal where no server is known", async () => {
    const none = () => Promise.reject(new JitdbError("server.none", "No server is known yet."));
    const { options } = createFakes({ context: { server: none } });
    const answers = ["jitdb.example.com"];
    const asked = await runWithFakes(["login"], { ...options, terminal: true, answers });
    expect(asked.exitCode).toBe(0);
    expect(await runWithFakes(["login"], options)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("hint: Run `jitdb login <server>` first"),
    });
  });
});

describe("jitdb logout", () => {
  it("ends the login on the server and forgets it", async () => {
    const { kept, options } = createFakes({});
    expect(await runWithFakes(["logout"], options)).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: `Logged out of ${server}.\n`,
    });
    expect(kept).toEqual([["remove", server]]);
  });

  it("forgets it also when the server is away, and says so", async () => {
    const revoke = () => Promise.reject(new JitdbError("server.unreachable", "Can't reach it."));
    const { kept, options } = createFakes({ revoke });
    const { exitCode, stderr } = await runWithFakes(["logout"], options);
    expect(exitCode).toBe(0);
    expect(stderr).toContain("The server could not be told (Can't reach it.)");
    expect(kept).toEqual([["remove", server]]);
  });

  it("refuses without a login", async () => {
    const { options } = createFakes({ stored: undefined });
    expect((await runWithFakes(["logout"], options)).exitCode).toBe(3);
  });
});
