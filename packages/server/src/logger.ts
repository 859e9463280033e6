// The server's log: JSON lines for collectors, readable lines on a terminal. Log lines carry values in fields, never headers, bodies or URLs.

import { inspect } from "node:util";
import { type DestinationStream, type Logger, pino } from "pino";

/** SECURITY: nobody logs these on purpose; an object that holds one must not leak it by being logged as a whole. */
const secretFields = [
  "authorization",
  "dpop",
  "cookie",
  "set-cookie",
  "password",
  "token",
  "proof",
  "secret",
  "query",
];
const redactedPaths = secretFields
  .map((field) => `["${field}"]`)
  .flatMap((field) => [field, `*${field}`, `*.headers${field}`, `*.*${field}`]);

/** @param sink one line of text each */
export function createLogger(sink: DestinationStream, form: "readable" | "json"): Logger {
  const options = { base: null, redact: { paths: redactedPaths, censor: "[redacted]" } };
  return pino(options, form === "json" ? sink : { write: (line) => sink.write(readable(line)) });
}

/** `12:34:56 warn  message key=value`. Values are quoted as JSON, so that none forges a line or a terminal's escape. */
function readable(line: string): string {
  const { time, level, msg = "", err, ...fields }: Line = JSON.parse(line);
  const clock = new Date(time).toISOString().slice(11, 19);
  const values = Object.entries(fields).map(([key, value]) => ` ${key}=${shown(value)}`);
  const stack = err === undefined ? "" : `\n${indent(err.stack ?? inspect(err))}`;
  const name = (pino.levels.labels[level] ?? String(level)).padEnd(5);
  return `${clock} ${name} ${msg.replaceAll(/\p{Cc}/gu, " ")}${values.join("")}${stack}\n`;
}

interface Line {
  readonly time: number;
  readonly level: number;
  readonly msg?: string;
  readonly err?: { readonly stack?: string };
  readonly [field: string]: unknown;
}

function shown(value: unknown): string {
  return typeof value === "string" && /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value);
}

function indent(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n]/gu, " ").replaceAll(/^/gm, "    ");
}
