// docs/cli.md, made of the commands themselves, so that it can't say anything else. No part of the program: scripts/docs.ts
// writes the page, and a test holds it to this.

import { databaseList, grantList, requestList, requestView } from "@jitdb/shared/api/access";
import { auditList, sessionList } from "@jitdb/shared/api/audit";
import { deviceList, meView } from "@jitdb/shared/api/people";
import { requestPreview } from "@jitdb/shared/api/previews";
import { exitCodes } from "@jitdb/shared/errors";
import * as z from "zod";
import { describeCommand } from "./cli.ts";
import { commands } from "./command-list.ts";
import { meanings, variables } from "./commands/help.ts";

/** What `--json` prints, for the commands whose answer is one document of the API (`inbox`: one a request). */
const documents: Readonly<Record<string, z.ZodType>> = {
  whoami: meView.extend({ server: meView.shape.server.extend({ address: z.string() }) }),
  devices: deviceList,
  databases: databaseList,
  request: requestView,
  inbox: requestView,
  requests: requestList,
  grants: grantList,
  sessions: sessionList,
  audit: auditList,
};

/** The same with other options. */
const otherDocuments: Readonly<Record<string, { options: string; schema: z.ZodType }>> = {
  request: { options: "--dry-run --json", schema: requestPreview },
};

const introduction = `# The command line: jitdb

<!-- Made by \`node scripts/run.mjs docs\` out of the commands themselves; do not edit. -->

Data goes to stdout, talk to stderr, and the exit code is the verdict. In a terminal lists are tables that fit into it;
in a pipe they are tab-separated lines with exact times and nothing cut. Where a terminal is there and something is
missing, \`jitdb\` asks; elsewhere it says what is missing and ends. With \`--json\` an error, too, is one line of JSON, on
stderr: \`{"error": {"code", "message", "hint"}}\`.
`;

const files = `## Files

All in \`~/.jitdb\`, or where JITDB_HOME says; folders have the mode 0700, files 0600.

| | |
|---|---|
| \`servers.json\` | the servers that were logged in to, and which one is the default |
| \`credentials.json\` | the logins, where no keychain holds them |
| \`locks/\` | what keeps two commands from renewing one login at the same time |
| \`passwords/\` | for each database the local password that programs on this machine use, as a pgpass file |
| \`run/\` | the Unix sockets of \`jitdb connect\` |
`;

function describeDocument(options: string, schema: z.ZodType | undefined): string[] {
  if (schema === undefined) {
    return [];
  }
  const shape = showShape(z.toJSONSchema(schema, { io: "output" }), "");
  return [`With \`${options}\`:\n`, `\`\`\`ts\n${shape}\n\`\`\`\n`];
}

/** The whole page. */
export async function describeCommandLine(): Promise<string> {
  const sections = [introduction, "## Commands\n", fenced(await describeCommand())];
  for (const { name } of commands) {
    sections.push(`### jitdb ${name}\n`, fenced(await describeCommand(name)));
    sections.push(
      ...describeDocument("--json", documents[name]),
      ...describeDocument(otherDocuments[name]?.options ?? "", otherDocuments[name]?.schema),
    );
  }
  const codes = Object.entries(meanings) as [keyof typeof exitCodes, string][];
  sections.push(
    table(
      "Exit codes",
      codes.map(([name, meaning]) => [String(exitCodes[name]), meaning]),
    ),
    table(
      "Environment",
      variables.map(([name, meaning]) => [`\`${name.replaceAll(", ", "`, `")}\``, meaning]),
    ),
    files,
  );
  return sections.join("\n");
}

function fenced(text: string): string {
  return `\`\`\`\n${text.trimEnd()}\n\`\`\`\n`;
}

function table(heading: string, rows: readonly (readonly [string, string])[]): string {
  const lines = rows.map(([name, meaning]) => `| ${name} | ${meaning} |`);
  return `## ${heading}\n\n| | |\n|---|---|\n${lines.join("\n")}\n`;
}

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** A JSON schema as a TypeScript type, which people read with less effort. */
function showShape(schema: JsonSchema, margin: string): string {
  if (schema.enum !== undefined) {
    return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  }
  if (schema.anyOf !== undefined) {
    return schema.anyOf.map((each) => showShape(each, margin)).join(" | ");
  }
  if (Array.isArray(schema.type)) {
    return schema.type.join(" | ");
  }
  switch (schema.type) {
    case "array":
      return showList(schema, margin);
    case "object":
      return showObject(schema, margin);
    case "integer":
      return "number";
    default:
      return schema.format === "date-time"
        ? "string /* ISO 8601 */"
        : String(schema.type ?? "unknown");
  }
}

function showList({ items }: JsonSchema, margin: string): string {
  const item =
    typeof items === "object" && !Array.isArray(items) ? showShape(items, margin) : "unknown";
  return item.includes(" | ") && !item.startsWith("{") ? `(${item})[]` : `${item}[]`;
}

function showObject(schema: JsonSchema, margin: string): string {
  const { properties = {}, required = [], additionalProperties: others } = schema;
  const inner = `${margin}  `;
  const fields = Object.entries(properties).map(([name, each]) => {
    const shape = typeof each === "object" ? showShape(each, inner) : "unknown";
    return `${inner}${name}${required.includes(name) ? "" : "?"}: ${shape};`;
  });
  if (typeof others === "object") {
    const shape = Object.keys(others).length === 0 ? "unknown" : showShape(others, inner);
    fields.push(`${inner}[name: string]: ${shape};`);
  }
  return fields.length === 0 ? "{}" : `{\n${fields.join("\n")}\n${margin}}`;
}
