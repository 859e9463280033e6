// jitdb-server policy explain: what the policies of a file say to one question. Looks at the file alone.

import { parseDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { Command } from "commander";
import { explain } from "../access/policies/explain.ts";
import { Policies } from "../access/policy.ts";
import { policyTarget } from "../access/requests/ask.ts";
import { toRecent } from "../config/cases.ts";
import { requireConfig } from "../config/load.ts";
import { systemPorts } from "../system.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

interface ExplainOptions {
  readonly config: string;
  readonly as: string;
  readonly groups: string;
  readonly reason: string;
  readonly at?: string;
  readonly unconfirmed?: true;
  readonly device: string;
  readonly recentGrants: string;
  readonly recentMinutes: string;
}

export function definePolicy(policy: Command, terminal: Terminal): void {
  policy
    .command("explain <database> <profile> [duration]")
    .description("who, for how long, who must agree, when, and in an emergency")
    .requiredOption("--as <name>", "who asks: a person, or a service of the configuration")
    .option("--groups <names>", "their groups, with commas", "")
    .option("--reason <text>", "why they ask", "")
    .option("--at <time>", "when it would begin, such as 2026-11-24T22:00:00Z; else now")
    .option("--unconfirmed", "from a device that nobody has vouched for")
    .option("--device <id>", "from the device with this thumbprint", "")
    .option(
      "--recent-grants <count>",
      "how many they had on the database in the last 24 hours",
      "0",
    )
    .option("--recent-minutes <count>", "how long those lasted together", "0")
    .addOption(configOption())
    .action(
      (
        database: string,
        profile: string,
        duration: string | undefined,
        options: ExplainOptions,
      ) => {
        for (const line of explainFile(database, profile, duration, options)) {
          terminal.print(line);
        }
      },
    );
}

function explainFile(
  name: string,
  profile: string,
  duration: string | undefined,
  options: ExplainOptions,
): string[] {
  const { config } = requireConfig(options.config);
  const database = config.databases.get(name);
  if (database === undefined) {
    throw new JitdbError("database.unknown", `There is no database "${name}".`, {
      hint: `There are: ${[...config.databases.keys()].join(", ")}.`,
    });
  }
  const start = options.at === undefined ? systemPorts().clock.now() : Date.parse(options.at);
  if (Number.isNaN(start)) {
    throw new JitdbError("usage.invalid", `"${options.at}" is no time.`, {
      hint: "Write --at 2026-11-24T22:00:00Z.",
    });
  }
  const grants = parseCount("--recent-grants", options.recentGrants);
  const minutes = parseCount("--recent-minutes", options.recentMinutes);
  return explain(new Policies(config.policies), {
    person: options.as,
    service: Object.hasOwn(config.identity.services, options.as),
    groups: options.groups.split(",").filter((group) => group !== ""),
    database: policyTarget(database),
    profile,
    durationMs: duration === undefined ? undefined : parseDuration(duration),
    reason: options.reason,
    start,
    deviceConfirmed: options.unconfirmed !== true,
    deviceId: options.device,
    recent: toRecent({ here: { day: { grants, minutes } } }),
  });
}

/** @throws JitdbError `usage.invalid` */
function parseCount(option: string, text: string): number {
  if (!/^\d{1,6}$/.test(text)) {
    throw new JitdbError("usage.invalid", `${option} is a whole number, not "${text}".`, {
      hint: `Write ${option} 3.`,
    });
  }
  return Number(text);
}
