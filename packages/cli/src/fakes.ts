// Fakes for tests of commands: a context whose terminal is recorded and whose server is a handful of functions.

import type { DatabaseView, GrantView, RequestView } from "@jitdb/shared/api/access";
import type { RequestPreview } from "@jitdb/shared/api/previews";
import { type Api, type EventFeed, HttpApi } from "./api.ts";
import { type OpenContext, run } from "./cli.ts";
import type { Context } from "./context.ts";
import type { Keyboard } from "./keyboard.ts";
import type { Prompts } from "./prompts.ts";
import { Terminal } from "./terminal.ts";

/** 2026-11-23T12:00:00.000Z: the time of all tests. */
export const testNow = Date.UTC(2026, 10, 23, 12);

/** An ISO instant that many seconds after the time of the tests. */
export function instant(seconds: number): string {
  return new Date(testNow + seconds * 1000).toISOString();
}

export interface FakeOptions {
  /** Methods of the API that the command may call; any other one fails the test. */
  readonly api?: Partial<Api>;
  /** Whether stdin, stdout and stderr are terminals. */
  readonly terminal?: boolean;
  readonly columns?: number;
  /** What the person answers, in order. */
  readonly answers?: readonly string[];
  /** Keys that the person presses, each as soon as one is waited for; or a keyboard of the test's own. */
  readonly keys?: readonly string[] | Keyboard;
  /** Told of everything that is written to stdout or stderr. */
  readonly onWrite?: (text: string) => void;
  readonly context?: Partial<Context>;
}

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line against fakes and gives all that a shell would see. */
export async function runWithFakes(
  argv: readonly string[],
  options: FakeOptions,
): Promise<Outcome> {
  const { context, written } = createFakeContext(options);
  const openContext: OpenContext = () => Promise.resolve(context);
  const exitCode = await run(argv, openContext);
  return { exitCode, ...written };
}

/** A context of fakes; `written` fills with what goes to the terminal. */
export function createFakeContext(options: FakeOptions): {
  readonly context: Context;
  readonly written: { stdout: string; stderr: string };
} {
  const written = { stdout: "", stderr: "" };
  const isTerminal = options.terminal ?? false;
  const stream = (name: "stdout" | "stderr") => ({
    isTerminal,
    columns: options.columns ?? 100,
    write: (text: string) => {
      written[name] += text;
      options.onWrite?.(text);
    },
  });
  const stderr = stream("stderr");
  const prompts = scriptedPrompts(stderr.write, options.answers ?? []);
  const terminal = new Terminal({
    stdout: stream("stdout"),
    stderr,
    inputIsTerminal: isTerminal,
    color: false,
    prompts: () => Promise.resolve(prompts),
    spin: (text) => {
      stderr.write(`(spinner) ${text}\n`);
      return Promise.resolve({
        update: (next) => stderr.write(`(spinner) ${next}\n`),
        stop: () => undefined,
      });
    },
    onEnter: () => () => undefined,
    openKeyboard: () => fakeKeyboard(options.keys ?? []),
  });
  const context: Context = {
    environment: {
      home: "/nowhere",
      keychain: false,
      server: undefined,
      caFile: undefined,
      proxy: { proxy: undefined, noProxy: "" },
      color: false,
      forcedColumns: undefined,
      display: false,
    },
    terminal,
    clock: { now: () => testNow },
    random: { bytes: (count) => new Uint8Array(count) },
    exitCode: 0,
    pause: () => Promise.resolve(),
    interruption: () => new AbortController().signal,
    server: () => Promise.resolve("https://jitdb.example.com"),
    credentials: () => unexpected("credentials"),
    network: () => unexpected("network"),
    oauth: () => unexpected("oauth"),
    tokens: () => unexpected("tokens"),
    api: () => Promise.resolve(fakeApi(options.api ?? {})),
    openWebSocket: () => unexpected("openWebSocket"),
    close: () => Promise.resolve(),
    ...options.context,
  };
  return { context, written };
}

/** Whatever the test did not name fails it. */
function fakeApi(methods: Partial<Api>): Api {
  const names = Object.getOwnPropertyNames(HttpApi.prototype);
  const missing = names.map((name) => [name, () => unexpected(`api.${name}`)]);
  const closed: EventFeed = { open: false, close: () => undefined };
  return { ...Object.fromEntries(missing), watch: () => Promise.resolve(closed), ...methods };
}

function unexpected(name: string): Promise<never> {
  return Promise.reject(new Error(`The test did not expect ${name}.`));
}

/** Presses the keys in order; whoever waits for more of them waits for good. */
function fakeKeyboard(keys: readonly string[] | Keyboard): Keyboard {
  if ("next" in keys) {
    return keys;
  }
  const left = [...keys];
  return {
    next: (signal) => {
      const key = left.shift();
      return key === undefined ? aborted(signal) : Promise.resolve(key);
    },
    lend: (work) => work(),
    close: () => undefined,
  };
}

/** Rejects when the signal does. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) {
      abort();
    }
    signal.addEventListener("abort", abort);
  });
}

function scriptedPrompts(write: (text: string) => void, answers: readonly string[]): Prompts {
  const left = [...answers];
  const next = (question: string, shown: readonly string[]) => {
    write([`? ${question}`, ...shown.map((each) => `  ${each}`), ""].join("\n"));
    const answer = left.shift();
    return answer === undefined ? unexpected(question) : Promise.resolve(answer);
  };
  return {
    select: (question, choices) =>
      next(
        question,
        choices.map((choice) => choice.label),
      ),
    input: async (question, { check }) => {
      const answer = await next(question, []);
      const complaint = check(answer);
      return complaint === undefined ? answer : unexpected(complaint);
    },
  };
}

export function sampleRequest(over: Partial<RequestView> = {}): RequestView {
  return {
    id: "req_7k2m9x4q",
    person: "alice",
    database: "prod-orders",
    profile: "read-only",
    durationSeconds: 1800,
    reason: "order 4711 is stuck",
    state: "pending",
    policy: "production",
    device: { label: "alice-laptop (linux)", confirmed: true },
    leavesTraces: [],
    startsAt: null,
    breakGlass: false,
    extendsGrant: null,
    approvals: {
      needed: 1,
      given: [],
      stages: [{ name: null, groups: ["dba"], missing: 1 }],
      groups: ["dba"],
    },
    createdAt: instant(-180),
    lapsesAt: instant(86_220),
    decidedAt: null,
    decidedBy: null,
    decisionReason: null,
    grantId: null,
    canDecide: true,
    ...over,
  };
}

export function samplePreview(over: Partial<RequestPreview> = {}): RequestPreview {
  return {
    database: "prod-orders",
    profile: "read-only",
    durationSeconds: 1800,
    policy: "production",
    privileges: "read tables and views",
    leavesTraces: [],
    startsAt: null,
    stages: [
      { name: null, groups: ["dba"], needed: 1, approvers: ["bob", "carol"], approverCount: 2 },
    ],
    enough: true,
    vouching: false,
    lapsesAt: instant(86_400),
    usualWait: { medianSeconds: 240, decided: 12, lapsed: 0 },
    review: null,
    waiting: null,
    statements: [
      "CREATE ROLE \"jit_1_alice_<random>\" LOGIN PASSWORD '<verifier>'",
      'GRANT "jitdb_orders" TO "jit_1_alice_<random>"',
    ],
    problem: null,
    ...over,
  };
}

export function sampleGrant(over: Partial<GrantView> = {}): GrantView {
  return {
    id: "grt_7k2m9x4qab3d",
    requestId: "req_7k2m9x4q",
    person: "alice",
    database: "prod-orders",
    engine: "postgres",
    databaseName: "orders",
    profile: "read-only",
    state: "active",
    startsAt: instant(-60),
    endsAt: instant(1740),
    endedAt: null,
    end: null,
    endReason: null,
    endedBy: null,
    user: "ready",
    userProblem: null,
    openSessions: 1,
    review: null,
    traces: "pending",
    drainingUntil: null,
    ...over,
  };
}

export function sampleDatabase(over: Partial<DatabaseView> = {}): DatabaseView {
  return {
    name: "prod-orders",
    engine: "postgres",
    labels: { env: "prod" },
    profiles: [
      {
        name: "read-only",
        description: "SELECT on the named schemas",
        maxDurationSeconds: 7200,
        approval: "required",
        leavesTraces: [],
      },
    ],
    ...over,
  };
}
