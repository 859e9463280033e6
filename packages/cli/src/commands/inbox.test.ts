import type { RequestView } from "@jitdb/shared/api/access";
import type { ServerEvent } from "@jitdb/shared/api/events";
import { JitdbError } from "@jitdb/shared/errors";
import { describe, expect, it } from "vitest";
import type { Api } from "../api.ts";
import { aborted, type Outcome, runWithFakes, sampleRequest, testNow } from "../fakes.ts";
import type { Keyboard } from "../keyboard.ts";

const alices = sampleRequest({ id: "req_alice000" });
const annas = sampleRequest({ id: "req_anna0000", person: "anna", reason: "" });
const background = { privileges: "", lastGrants: [], unusual: [] };

/** A server with requests that come and go, and somebody who reads the screen before they press a key. */
class World {
  readonly calls: unknown[] = [];
  readonly #requests = new Map<string, RequestView>();
  readonly #interrupted = new AbortController();
  #ms = testNow;
  #tell: (event: ServerEvent) => void = () => undefined;
  #away: JitdbError | undefined;
  #written = "";
  #read = 0;
  #onWrite: () => void = () => undefined;
  #press: ((key: string) => void) | undefined;

  constructor(...requests: RequestView[]) {
    for (const request of requests) {
      this.#requests.set(request.id, request);
    }
  }

  /** Something happens to a request, and whoever listens is told. */
  set(request: RequestView): void {
    this.#requests.set(request.id, request);
    this.hint();
  }

  hint(): void {
    this.#tell({ type: "request.changed", request: alices });
  }

  goAway(code: "server.unreachable" | "login.expired" | undefined): void {
    this.#away = code === undefined ? undefined : new JitdbError(code, "No answer.");
    this.hint();
  }

  pass(ms: number): void {
    this.#ms += ms;
  }

  interrupt(): void {
    this.#interrupted.abort();
  }

  /** Resolves when the text stands on the screen, behind what was read before. */
  async shows(text: string): Promise<void> {
    for (;;) {
      const at = this.#written.indexOf(text, this.#read);
      if (at >= 0) {
        this.#read = at + text.length;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#onWrite = resolve;
      });
    }
  }

  /** A person reads, then presses. A key that nobody waits for is lost. Resolves when the key has done what it does. */
  async press(key: string, afterMs = 1000): Promise<void> {
    this.pass(afterMs);
    this.#press?.(key);
    await new Promise((resolve) => setImmediate(resolve));
  }

  run(argv: readonly string[] = [], { terminal = true } = {}): Promise<Outcome> {
    return runWithFakes(["inbox", ...argv], {
      terminal,
      answers: ["not today"],
      onWrite: (text) => {
        this.#written += text;
        this.#onWrite();
      },
      keys: this.#keyboard(),
      api: this.#api(),
      context: {
        clock: { now: () => this.#ms },
        interruption: () => this.#interrupted.signal,
        pause: (_, signal) => aborted(signal ?? this.#interrupted.signal),
      },
    });
  }

  #keyboard(): Keyboard {
    return {
      next: (signal) =>
        Promise.race([
          aborted(signal),
          new Promise<string>((resolve) => {
            this.#press = resolve;
          }),
        ]),
      lend: (work) => work(),
      close: () => undefined,
    };
  }

  #api(): Partial<Api> {
    const decide = (name: string, state: RequestView["state"]) => (id: string, input: unknown) => {
      const request = this.#answer(id);
      if (request.state !== "pending") {
        return Promise.reject(new JitdbError("request.decided", "It was decided."));
      }
      this.calls.push([name, id, input]);
      const decided = { ...request, state, decidedBy: "bob", canDecide: false };
      this.#requests.set(id, decided);
      return Promise.resolve(decided);
    };
    return {
      requests: async () => {
        this.#refuse();
        const pending = [...this.#requests.values()].filter(({ state }) => state === "pending");
        return { requests: pending.reverse(), next: null };
      },
      request: async (id) => this.#answer(id),
      requestBackground: async () => {
        this.#refuse();
        return background;
      },
      approve: decide("approve", "approved"),
      deny: decide("deny", "denied"),
      me: async () => ({
        person: "bob",
        groups: ["dba"],
        administrator: false,
        device: { id: "device", label: "laptop", confirmed: false },
        tokenExpiresAt: alices.createdAt,
        server: { version: "1", time: alices.createdAt },
      }),
      watch: (onEvent) => {
        this.#tell = onEvent;
        return Promise.resolve({ open: true, close: () => undefined });
      },
    };
  }

  #answer(id: string): RequestView {
    this.#refuse();
    const request = this.#requests.get(id);
    if (request === undefined) {
      throw new JitdbError("request.unknown", "There is none.");
    }
    return request;
  }

  #refuse(): void {
    if (this.#away !== undefined) {
      throw this.#away;
    }
  }
}

const bell = "\u0007";
const keys = "[Enter] leave it\n";
const idle = "Nothing waits for you. New requests ring; q ends.\n";

describe("jitdb inbox in a terminal", () => {
  it("shows what waits, oldest first, and decides by the keys of approve", async () => {
    const world = new World(alices, annas);
    const ended = world.run();
    await world.shows("2 wait for you. The oldest:\nalice asks for");
    await world.shows(keys);
    await world.press("y");
    await world.shows("Approved: alice has prod-orders for 30m.\n\nanna asks for");
    await world.shows(keys);
    await world.press("d");
    await world.shows("Denied: anna does not get prod-orders.\n");
    await world.shows(idle);
    await world.press("q");
    expect((await ended).exitCode).toBe(0);
    expect(world.calls).toEqual([
      ["approve", alices.id, { comment: "" }],
      ["deny", annas.id, { reason: "not today" }],
    ]);
  });

  it("waits for more, rings when they come, and is ended by Ctrl-C", async () => {
    const world = new World();
    const ended = world.run();
    await world.shows(idle);
    world.set(alices);
    await world.shows(`${bell}\nalice asks for`);
    await world.shows(keys);
    world.interrupt();
    const { exitCode, stdout, stderr } = await ended;
    expect([exitCode, stdout, world.calls]).toEqual([0, "", []]);
    expect(stderr.split(bell)).toHaveLength(2);
  });

  it("rings neither for what was there at the start, nor with --quiet", async () => {
    const world = new World(alices);
    const ended = world.run(["--quiet"]);
    await world.shows(keys);
    world.set(annas);
    await world.press("y");
    await world.shows("anna asks for");
    await world.shows(keys);
    await world.press("y");
    await world.shows("New requests come up here; q ends.\n");
    await world.press("q");
    expect((await ended).stderr).not.toContain(bell);
  });

  it("says nothing of another request while one is on the screen, but rings (its keys are for the one above)", async () => {
    const world = new World(alices);
    const ended = world.run();
    await world.shows(keys);
    world.set(annas);
    await world.shows(bell);
    await world.press("y");
    await world.shows("Approved: alice");
    await world.shows(keys);
    await world.press("q");
    await world.shows("1 left undecided. New requests ring; r shows those again, q ends.\n");
    await world.press("q");
    const { stderr } = await ended;
    expect(stderr.indexOf("anna")).toBeGreaterThan(stderr.indexOf("Approved: alice"));
    expect(world.calls).toEqual([["approve", alices.id, { comment: "" }]]);
  });

  it("leaves one undecided, and shows it again at r or when it has changed", async () => {
    const world = new World(alices);
    const ended = world.run();
    for (const show of [() => world.press("r"), () => world.set({ ...alices, approvals })]) {
      await world.shows("alice asks for");
      await world.shows(keys);
      await world.press("enter");
      await world.shows("1 left undecided.");
      await show();
    }
    await world.shows("approved: by carol\n");
    await world.shows(keys);
    await world.press("y");
    await world.shows(idle);
    await world.press("q");
    await ended;
    expect(world.calls).toHaveLength(1);
  });

  const given = { at: alices.createdAt, comment: "", durationSeconds: 900, profile: null };
  const approvals = {
    needed: 2,
    given: [{ ...given, person: "carol" }],
    stages: [{ name: null, groups: ["dba"], missing: 1 }],
    groups: ["dba"],
  };

  it.each([
    [{ state: "approved", decidedBy: "carol" }, "carol approved it for 30m.\n"],
    [{ state: "denied", decidedBy: "carol", decisionReason: "no" }, "carol denied it: no\n"],
    [{ state: "withdrawn", decidedBy: "alice" }, "alice withdrew it.\n"],
    [{ state: "lapsed", decisionReason: "Nobody decided in time." }, "It lapsed. Nobody decided"],
    [{ canDecide: false }, "It waits for others now: dba.\n"],
  ] as const)("tells what became of one on the screen, and goes on: %o", async (over, what) => {
    const world = new World(alices);
    const ended = world.run();
    await world.shows(keys);
    world.set({ ...alices, ...over });
    await world.shows(`${alices.id} is no longer yours to decide. ${what}`);
    await world.shows("New requests ring; ");
    await world.press("y");
    await world.press("q");
    expect((await ended).exitCode).toBe(0);
    expect(world.calls).toEqual([]);
  });

  it("tells whoever comes second what happened, and shows the next", async () => {
    const world = new World(alices, annas);
    const ended = world.run();
    await world.shows(keys);
    // No event yet: the key is faster.
    const carols = sampleRequest({ ...alices, state: "approved", decidedBy: "carol" });
    const silent = world.hint;
    world.hint = () => undefined;
    world.set(carols);
    world.hint = silent;
    await world.press("y");
    await world.shows("no longer yours to decide. carol approved it for 30m.\n");
    await world.shows("anna asks for");
    await world.shows(keys);
    await world.press("q");
    await world.shows("1 left undecided.");
    await world.press("q");
    await ended;
    expect(world.calls).toEqual([]);
  });

  it("takes no key for a request that has just come onto the screen in the place of another", async () => {
    const world = new World(alices, annas);
    const ended = world.run();
    await world.shows(keys);
    world.set({ ...alices, state: "withdrawn" });
    await world.shows("alice withdrew it.\n\nanna asks for");
    await world.shows(keys);
    await world.press("y", 400);
    await world.press("y", 50);
    expect(world.calls).toEqual([]);
    await world.press("y", 100);
    await world.shows("Approved: anna");
    await world.shows(idle);
    await world.press("q");
    await ended;
  });
});

describe("jitdb inbox without the server", () => {
  it("says that the connection is lost, once, and comes back by itself", async () => {
    const world = new World();
    const ended = world.run();
    await world.shows(idle);
    world.goAway("server.unreachable");
    await world.shows("Connection lost, trying again. (No answer.)\n");
    world.hint();
    world.pass(12_000);
    world.set(alices);
    world.goAway(undefined);
    await world.shows(`Back after 12s.\n${bell}\nalice asks for`);
    await world.shows(keys);
    world.interrupt();
    expect((await ended).stderr.match(/Connection lost/g)).toHaveLength(1);
  });

  it("keeps the request on the screen where a decision could not be sent", async () => {
    const world = new World(alices);
    const ended = world.run();
    await world.shows(keys);
    world.goAway("server.unreachable");
    await world.shows("Connection lost");
    await world.press("y");
    await world.shows("error: No answer.\n");
    await world.shows(keys);
    world.goAway(undefined);
    await world.shows("Back after");
    await world.press("y");
    await world.shows("Approved: alice");
    world.interrupt();
    await ended;
    expect(world.calls).toHaveLength(1);
  });

  it.each(["server.unreachable", "login.expired"] as const)(
    "ends with the error where it cannot even begin: %s",
    async (code) => {
      const world = new World();
      world.goAway(code);
      const { exitCode, stderr } = await world.run();
      expect(exitCode).toBe(code === "login.expired" ? 3 : 7);
      expect(stderr).toContain("error: No answer.\n");
    },
  );

  it("ends when the login is over, with a request on the screen, too", async () => {
    for (const requests of [[], [alices]]) {
      const world = new World(...requests);
      const ended = world.run();
      await world.shows(requests.length === 0 ? idle : keys);
      world.goAway("login.expired");
      expect((await ended).exitCode).toBe(3);
    }
  });
});

describe("jitdb inbox on a device or in a turn that decides on nothing", () => {
  it("says so, and shows no keys", async () => {
    const world = new World({ ...alices, canDecide: false });
    const ended = world.run();
    await world.shows("This device is new.");
    await world.shows("Nothing waits for you. 1 waits for others first.");
    await world.press("y");
    await world.press("q");
    await ended;
    expect(world.calls).toEqual([]);
  });
});

describe("jitdb inbox without somebody to ask", () => {
  it("prints a line of JSON for each request with --json, those that come later, too", async () => {
    const world = new World(alices);
    const ended = world.run(["--json"]);
    await world.shows('"person":"alice"');
    world.set(annas);
    await world.shows('"person":"anna"');
    world.set({ ...annas, reason: "again" });
    await world.press("y");
    world.interrupt();
    const { exitCode, stdout } = await ended;
    expect(exitCode).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.map((text) => JSON.parse(text))).toEqual([alices, annas]);
    expect(world.calls).toEqual([]);
  });

  it("prints rows into a pipe, and no bell", async () => {
    const world = new World(alices);
    const ended = world.run([], { terminal: false });
    await world.shows("req_alice000\tpending\talice\t");
    world.set(annas);
    await world.shows("req_anna0000\tpending\tanna\t");
    world.interrupt();
    const { exitCode, stdout, stderr } = await ended;
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).not.toContain(bell);
  });

  it("lists and ends with --once", async () => {
    const world = new World(alices, annas);
    const { exitCode, stdout } = await world.run(["--once"]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ID .*\nreq_anna0000 .*\nreq_alice000 /);
    const { stdout: json } = await new World(alices, annas).run(["--once", "--json"]);
    expect(
      json
        .trimEnd()
        .split("\n")
        .map((text) => JSON.parse(text).id),
    ).toEqual([alices.id, annas.id]);
    const none = await new World().run(["--once", "--json"]);
    expect([none.exitCode, none.stdout]).toEqual([0, ""]);
  });
});
