// Two or more `jitdb` processes of one device whose access token is over.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "@jitdb/shared/secret";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openCredentials } from "../../packages/cli/src/login/credentials.ts";
import { generateDeviceKey } from "../../packages/cli/src/login/proof.ts";
import { runProgram, startProgram } from "../support/programs.ts";
import { CannedServer } from "./canned-server.ts";

let home: string;
let server: CannedServer;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "jitdb-race-"));
  server = await CannedServer.start();
  const credentials = openCredentials({ home: join(home, ".jitdb"), keychain: false });
  await credentials.add(server.url, "alice", {
    key: await generateDeviceKey(),
    refreshToken: new Secret("refresh-0"),
    accessToken: new Secret("over"),
    accessTokenExpiresAt: 0,
    clientId: "jitdb-cli",
  });
});

afterEach(async () => {
  server.close();
  await rm(home, { recursive: true });
});

const grants = () => runProgram("jitdb", ["grants", "--json"], { home });

it("refreshes once when four processes need a token at the same time (invariant 4)", async () => {
  const ended = await Promise.all([grants(), grants(), grants(), grants()]);
  const well = { exitCode: 0, stdout: '{"grants":[],"next":null}', stderr: "" };
  expect(ended).toEqual([well, well, well, well]);
  expect(server.redeemed).toEqual(["refresh-0"]);
});

it("is not held up by a process that was killed while it refreshed (invariant 4)", async () => {
  const asked = new Promise<void>((resolve) => {
    server.beforeRefresh = () => {
      resolve();
      return new Promise(() => undefined);
    };
  });
  const victim = startProgram("jitdb", ["grants"], { home });
  await Promise.race([asked, victim]);
  victim.kill("SIGKILL");
  expect((await victim).signal).toBe("SIGKILL");
  server.beforeRefresh = () => Promise.resolve();
  expect(await grants()).toMatchObject({ exitCode: 0, stderr: "" });
  expect(server.redeemed).toEqual(["refresh-0"]);
});

it("ends with a network error, not a lost login, when the answer is lost (invariant 4)", async () => {
  const url = server.url;
  server.beforeRefresh = () => {
    server.close();
    return new Promise(() => undefined);
  };
  const { exitCode, stderr } = await grants();
  expect(exitCode).toBe(7);
  expect(JSON.parse(stderr)).toMatchObject({
    error: {
      code: "server.unreachable",
      message: `Can't reach ${url}: the connection was cut.`,
    },
  });
});
