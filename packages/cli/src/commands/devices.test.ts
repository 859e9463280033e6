import type { DeviceView } from "@jitdb/shared/api/people";
import { JitdbError } from "@jitdb/shared/errors";
import { describe, expect, it } from "vitest";
import type { Api } from "../api.ts";
import { instant, runWithFakes } from "../fakes.ts";

const laptop: DeviceView = {
  id: "w1F1qVsbQ221cZd994JeOYEau-hgE9v-yajHiSXKRO8",
  person: "alice",
  label: "alice-laptop (linux)",
  confirmed: true,
  current: true,
  firstAddress: "192.0.2.7",
  firstSeenAt: instant(-86_400),
};
const phone: DeviceView = {
  ...laptop,
  id: "-dash7QVsbQ221cZd994JeOYEau-hgE9v-yajHiSXKR",
  label: "phone\u001b[2J",
  confirmed: false,
  current: false,
  firstAddress: "203.0.113.9",
  firstSeenAt: instant(-60),
};

function recordingApi(calls: unknown[], devices: readonly DeviceView[] = [laptop, phone]) {
  const answer = (action: string) => (id: string) => {
    calls.push([action, id]);
    return Promise.resolve({ ...phone, id, confirmed: true });
  };
  const api: Partial<Api> = {
    devices: () => Promise.resolve({ devices: [...devices] }),
    confirmDevice: answer("confirm"),
    revokeDevice: answer("revoke"),
  };
  return { api };
}

describe("jitdb devices", () => {
  it("draws one's devices as a table, whatever they call themselves", async () => {
    const { stdout } = await runWithFakes(["devices"], {
      ...recordingApi([]),
      terminal: true,
      columns: 140,
    });
    expect(stdout).toBe(
      "ID                                           DEVICE                          STATE        FIRST FROM   FIRST SEEN\n" +
        "w1F1qVsbQ221cZd994JeOYEau-hgE9v-yajHiSXKRO8  alice-laptop (linux), this one  confirmed    192.0.2.7    24h ago\n" +
        "-dash7QVsbQ221cZd994JeOYEau-hgE9v-yajHiSXKR  phone\ufffd[2J                       unconfirmed  203.0.113.9  1m ago\n",
    );
  });

  it("prints lines for pipes, and the API's form with --json", async () => {
    const { stdout } = await runWithFakes(["devices"], recordingApi([], [laptop]));
    expect(stdout).toBe(
      "w1F1qVsbQ221cZd994JeOYEau-hgE9v-yajHiSXKRO8\talice-laptop (linux), this one\tconfirmed\t192.0.2.7\t2026-11-22T12:00:00.000Z\n",
    );
    const json = await runWithFakes(["devices", "--json"], recordingApi([], [laptop]));
    expect(JSON.parse(json.stdout)).toEqual({ devices: [laptop] });
  });

  it("confirms the device that the beginning of an id means, and says which one it was", async () => {
    const calls: unknown[] = [];
    const outcome = await runWithFakes(["devices", "confirm", "--", "-dash"], recordingApi(calls));
    expect(calls).toEqual([["confirm", phone.id]]);
    expect(outcome).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: `Confirmed: phone\ufffd[2J of alice, first seen 1m ago at 203.0.113.9 (${phone.id}).\n`,
    });
  });

  it("leaves ids of others to the server: administrators revoke theirs", async () => {
    const calls: unknown[] = [];
    const { stderr } = await runWithFakes(["devices", "revoke", "bobs"], recordingApi(calls));
    expect(calls).toEqual([["revoke", "bobs"]]);
    expect(stderr).toMatch(/^Revoked: /);
  });

  it("shows the server's refusal with its hint", async () => {
    const confirmDevice = () =>
      Promise.reject(new JitdbError("device.unconfirmed", "Nobody has confirmed this device yet."));
    const { exitCode, stderr } = await runWithFakes(["devices", "confirm", "w1"], {
      api: { ...recordingApi([]).api, confirmDevice },
    });
    expect(exitCode).toBe(4);
    expect(stderr).toMatch(
      /^error: Nobody has confirmed this device yet\.\nhint: Run `jitdb devices confirm <id>`/,
    );
  });

  it("never guesses which device is vouched for", async () => {
    const without = await runWithFakes(["devices", "confirm"], recordingApi([]));
    expect(without).toEqual({
      exitCode: 2,
      stdout: "",
      stderr:
        "error: Which device? `jitdb devices confirm` needs its id.\n" +
        "hint: Write `jitdb devices confirm <id>`; `jitdb devices` lists them.\n",
    });
    const twins = [laptop, { ...phone, id: "w1other" }];
    const ambiguous = await runWithFakes(["devices", "confirm", "w1"], recordingApi([], twins));
    expect(ambiguous.exitCode).toBe(2);
    expect(ambiguous.stderr).toBe(
      `error: "w1" may mean ${laptop.id}, w1other.\nhint: Write more of the id.\n`,
    );
    expect((await runWithFakes(["devices", "bless", "w1"], recordingApi([]))).exitCode).toBe(2);
  });
});
