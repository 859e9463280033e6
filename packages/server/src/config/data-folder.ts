// The data folder of a file that may be broken: where its server is found, so that it can say what is wrong with the file.

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseDocument } from "yaml";
import { isReference, resolveReference } from "./references.ts";

/** The best guess: what can still be read of the file, or where `init` puts it. */
export function guessDataFolder(
  file: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const folder = resolve(dirname(file));
  const written = readKey(file, "dataFolder");
  if (written === undefined || !isReference(written)) {
    return resolve(folder, written ?? "data");
  }
  const resolved = resolveReference(written, { folder, environment });
  return resolve(folder, resolved.ok ? resolved.value.reveal() : "data");
}

function readKey(file: string, key: string): string | undefined {
  try {
    const value: unknown = parseDocument(readFileSync(file, "utf8")).get(key);
    return typeof value === "string" ? value : undefined;
  } catch {
    // Not there, or no map: whoever needs more of it says what is wrong.
    return undefined;
  }
}
