import { describe, expect, test } from "vitest";
import { type AccessRule, findOpenDoors } from "./access-rules.ts";

function rule(line: string): AccessRule {
  const [type = "", databases = "", users = "", ...rest] = line.split(" ");
  const method = rest.pop() ?? "";
  const address = rest.pop() ?? null;
  return { type, databases: databases.split(","), users: users.split(","), address, method };
}

const printed = [
  rule("host all jitdb_admin 10.0.0.5 scram-sha-256"),
  rule("host orders +jitdb_ephemeral 10.0.0.5 scram-sha-256"),
  rule("host all +jitdb_ephemeral all reject"),
  rule("local all +jitdb_ephemeral reject"),
];
const usual = [rule("local all all peer"), rule("hostssl all all 0.0.0.0 scram-sha-256")];

describe("the doors of pg_hba.conf", () => {
  test("are closed by the printed lines in front of the usual ones", () => {
    expect(findOpenDoors([...printed, ...usual], "orders")).toEqual([]);
  });

  test("are open where the usual lines come first, or stand alone", () => {
    expect(findOpenDoors([...usual, ...printed], "orders")).toHaveLength(2);
    expect(findOpenDoors(usual, "orders")).toEqual([
      'over TCP by "hostssl all all 0.0.0.0 scram-sha-256"',
      'through the Unix socket by "local all all peer"',
    ]);
  });

  test("are open where the refusal covers some addresses only", () => {
    const narrow = rule("host all +jitdb_ephemeral 192.168.0.0 reject");
    expect(findOpenDoors([narrow, ...usual.slice(1)], "orders")).toHaveLength(1);
  });

  test("do not concern rules for other databases and people", () => {
    const others = [rule("host billing all all trust"), rule("host all bob all trust")];
    expect(findOpenDoors(others, "orders")).toEqual([]);
  });
});
