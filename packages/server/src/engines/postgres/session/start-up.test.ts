import { JitdbError } from "@jitdb/shared/errors";
import { encodeCancelRequest, encodeStartupMessage } from "@jitdb/shared/postgres/startup";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readStartUp } from "./start-up.ts";

const database = { name: "prod-orders", database: "orders" };

function packet(...parameters: readonly (readonly [string, string])[]): Uint8Array {
  return encodeStartupMessage({
    version: 0x0003_0000,
    parameters: parameters.map(([name, value]) => ({ name, value: Buffer.from(value) })),
  });
}

function read(...parameters: readonly (readonly [string, string])[]): string[] {
  return readStartUp(packet(...parameters), database).settings.map(
    ({ name, value }) => `${name}=${Buffer.from(value).toString()}`,
  );
}

function refusal(...parameters: readonly (readonly [string, string])[]): string {
  try {
    return `passed: ${read(...parameters).join()}`;
  } catch (error) {
    return error instanceof JitdbError ? error.code : String(error);
  }
}

describe("what of a client's start-up is passed on (invariant 15)", () => {
  test("settings in order, and neither user nor database", () => {
    expect(
      read(
        ["user", "postgres"],
        ["database", "orders"],
        ["application_name", "psql"],
        ["client_encoding", "UTF8"],
        ["DateStyle", "ISO, DMY"],
        ["app.tenant", "7"],
      ),
    ).toEqual([
      "application_name=psql",
      "client_encoding=UTF8",
      "DateStyle=ISO, DMY",
      "app.tenant=7",
    ]);
  });

  test.each([
    ["-c work_mem=8MB", ["work_mem=8MB"]],
    ["-cwork_mem=8MB", ["work_mem=8MB"]],
    ["--work-mem=8MB", ["work_mem=8MB"]],
    ["--search_path=a,b -c geqo=off", ["search_path=a,b", "geqo=off"]],
    ["  -c\tsearch_path=a\\ b\\\\c  ", ["search_path=a b\\c"]],
    ["-c search_path=a=b", ["search_path=a=b"]],
    ["-c app.x=\\", ["app.x="]],
    ["-c app.x=a\\\tb\\ ", ["app.x=a\tb "]],
    [
      "-e -fs -f h -S 8192",
      ["datestyle=euro", "enable_seqscan=false", "enable_hashjoin=false", "work_mem=8192"],
    ],
    [
      "-efm -ecgeqo=off",
      ["datestyle=euro", "enable_mergejoin=false", "datestyle=euro", "geqo=off"],
    ],
    ["-e-work-mem=8MB", ["datestyle=euro", "work_mem=8MB"]],
    ["-bEjnT -D /tmp -C x -r/tmp/out -v2 -c geqo=on --", ["geqo=on"]],
    ["", []],
  ])("options %j, read as the server reads them", (options, settings) => {
    expect(read(["options", options])).toEqual(settings);
  });

  test("settings of options before the others, which the server lets win", () => {
    expect(read(["work_mem", "1MB"], ["options", "-c work_mem=2MB"])).toEqual([
      "work_mem=2MB",
      "work_mem=1MB",
    ]);
  });

  test.each([
    [
      "the last of repeated options alone",
      [
        ["options", "-e"],
        ["options", "-c geqo=on"],
      ],
      "passed: geqo=on",
    ],
    ["an option of the protocol, which is no setting", [["_pq_.x", "1"]], "passed: "],
    ["replication that is off", [["replication", "false"]], "passed: "],
    ["replication that is off, in another word", [["replication", "OF"]], "passed: "],
    ["no database", [["user", "me"]], "passed: "],
    [
      "the user's name as database, which libpq sends",
      [
        ["user", "me"],
        ["database", "me"],
      ],
      "passed: ",
    ],
    ["the configured database", [["database", "prod-orders"]], "passed: "],
  ] as const)("accepts %s", (_, parameters, outcome) => {
    expect(refusal(...parameters)).toBe(outcome);
  });

  test.each([
    ["role by options", [["options", "-c role=postgres"]]],
    ["role by options without a space", [["options", "-crole=postgres"]]],
    ["role by a long option", [["options", "--role=postgres"]]],
    ["role in another case", [["options", "-c ROLE=postgres"]]],
    ["role behind escapes", [["options", "-c r\\ole=postgres"]]],
    ["role as a parameter", [["role", "postgres"]]],
    ["session_authorization", [["session_authorization", "postgres"]]],
    ["session-authorization by a long option", [["options", "--session-authorization=postgres"]]],
    ["a setting of the superuser", [["options", "-c log_statement=none"]]],
    ["replication by options", [["options", "-c replication=true"]]],
    ["-F, which is fsync", [["options", "-F"]]],
    ["-d, which is the log's level", [["options", "-d 5"]]],
    ["-s and -t, which are statistics of the log", [["options", "-s -tpa"]]],
    ["-f without a kind of plan", [["options", "-f x"]]],
    ["a switch that is none behind one that is", [["options", "-eq"]]],
    ["a property of every object", [["options", "-fconstructor"]]],
    ["a lone backslash, which is an empty word", [["options", "-e \\"]]],
    ["a word that is no option", [["options", "work_mem=8MB"]]],
    ["an option without a value", [["options", "-c work_mem"]]],
    ["-c at the end", [["options", "-c"]]],
    ["words behind two dashes", [["options", "-- -e"]]],
    ["one dash", [["options", "-"]]],
    ["the connection's own names as settings", [["options", "-c database=x"]]],
    ["a protocol option as a setting", [["options", "-c _pq_.x=1"]]],
    ["an empty name", [["options", "-c =x"]]],
    [
      "a setting before a harmless repetition",
      [
        ["role", "postgres"],
        ["role", "none"],
      ],
    ],
  ] as const)("refuses %s", (_, parameters) => {
    expect(refusal(...parameters)).toBe("postgres.start_up");
  });

  test.each([
    [["replication", "database"]],
    [["replication", "true"]],
    [["replication", "o"]],
    [["replication", "nonsense"]],
    [["replication", ""]],
    [
      ["replication", "database"],
      ["replication", "false"],
    ],
  ] as const)("refuses replication in its own words: %j", (...parameters) => {
    expect(refusal(...(parameters as (readonly [string, string])[]))).toBe("postgres.replication");
  });

  test("the protocol's version and options as they came, for whoever negotiates", () => {
    const startUp = encodeStartupMessage({
      version: 0x0003_270f,
      parameters: ["_pq_.b", "geqo", "_pq_.a"].map((name) => ({ name, value: Buffer.from("on") })),
    });
    expect(readStartUp(startUp, database)).toMatchObject({
      version: 0x0003_270f,
      protocolOptions: ["_pq_.b", "_pq_.a"],
      settings: [{ name: "geqo" }],
    });
  });

  test("refuses another database, whatever came first", () => {
    expect(refusal(["user", "me"], ["database", "postgres"])).toBe("database.unknown");
    expect(refusal(["database", "orders"], ["database", "template1"])).toBe("database.unknown");
  });

  test("refuses packets that are no start-up", () => {
    const cancel = encodeCancelRequest({ processId: 1, secret: new Uint8Array(4) });
    expect(() => readStartUp(cancel, database)).toThrow("start-up packet");
  });

  test("never passes a name that is not allowed, whatever the options", () => {
    const piece = fc.constantFrom(
      "-c",
      "--",
      " ",
      "\\",
      "role",
      "=",
      "x",
      "work_mem",
      "-",
      "e",
      "\t",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const outcome = refusal(["options", pieces.join("")]);
        expect(outcome === "postgres.start_up" || !/\brole=/.test(outcome)).toBe(true);
      }),
    );
  });
});
