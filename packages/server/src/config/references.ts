// Fills in ${env:NAME} and ${file:path}. What comes out is a Secret: whoever reads the configuration has to say that they mean to see it.

import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { Secret } from "@jitdb/shared/secret";

/** Where references are looked up. */
export interface ReferenceSources {
  /** Relative paths start here: the folder of the configuration file. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A value, or what is wrong with the reference and what to do. */
export type Resolved =
  | { readonly ok: true; readonly value: Secret }
  | { readonly ok: false; readonly problem: string; readonly fix: string };

const reference = /^\$\{(env|file):([^{}]+)\}$/;
const maxFileBytes = 64 * 1024;

/** Whether a text asks to be filled in, rightly written or not. */
export function isReference(text: string): boolean {
  return text.includes("${");
}

/** Resolves a text that is one reference and nothing else. */
export function resolveReference(text: string, sources: ReferenceSources): Resolved {
  const [, kind, target = ""] = reference.exec(text) ?? [];
  switch (kind) {
    case "env":
      return fromEnvironment(target, sources);
    case "file":
      return readSecretFile(target, resolve(sources.folder, target));
    default:
      return refuse(
        "a reference must be the whole value.",
        // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how references are written
        "Write ${env:NAME} or ${file:path} with nothing around it.",
      );
  }
}

function fromEnvironment(name: string, sources: ReferenceSources): Resolved {
  const value = sources.environment[name];
  if (value === undefined || value === "") {
    const state = value === undefined ? "is not set" : "is empty";
    return refuse(`the environment variable ${name} ${state}.`, `Set it: export ${name}=…`);
  }
  return { ok: true, value: new Secret(value) };
}

/** Reads a file that only its owner (and group) may read. `written` is its name as the user wrote it. */
export function readSecretFile(written: string, path: string): Resolved {
  try {
    const { mode } = statSync(path);
    // SECURITY: a secret that everybody on this machine can read is none. Windows has no such mode bits.
    if (process.platform !== "win32" && (mode & 0o007) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, "0");
      return refuse(`${written} is open to everybody (mode ${octal}).`, `Run: chmod 600 ${path}`);
    }
    return readPlainFile(written, path);
  } catch (error) {
    return refuseUnreadable(written, path, error);
  }
}

/** Reads a file whose mode does not matter, such as a certificate. One newline at its end is taken off. */
export function readPlainFile(written: string, path: string): Resolved {
  try {
    if (statSync(path).size > maxFileBytes) {
      return refuse(`${written} is larger than 64 KiB.`, "Name the right file.");
    }
    const value = readFileSync(path, "utf8").replace(/\r?\n$/, "");
    return value === ""
      ? refuse(`${written} is empty.`, `Write into ${path}.`)
      : { ok: true, value: new Secret(value) };
  } catch (error) {
    return refuseUnreadable(written, path, error);
  }
}

function refuseUnreadable(written: string, path: string, error: unknown): Resolved {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
  if (code === "ENOENT") {
    return refuse(`${written} does not exist.`, `Looked for ${path}. Create it, or name another.`);
  }
  return refuse(`${written} can't be read (${code}).`, `Let this user read ${path}.`);
}

function refuse(problem: string, fix: string): Resolved {
  return { ok: false, problem, fix };
}
