// The audit journal as an auditor reads it: from the files of the data folder, whether or not a server runs.

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { AuditEvent, AuditKind, EventOf } from "../../packages/server/src/audit/record.ts";

/** What every record has besides its event. */
export interface Numbered {
  readonly seq: number;
  readonly at: string;
  readonly prev: string;
}

export type JournalRecord = AuditEvent & Numbered;

/** A journal at one moment. */
export class Journal {
  readonly records: readonly JournalRecord[];
  readonly #lines: readonly string[];

  private constructor(lines: readonly string[]) {
    this.#lines = lines;
    this.records = lines.map((line) => JSON.parse(line) as JournalRecord);
  }

  /**
   * Reads all segments. What stands behind the last newline is a write that was cut off or is under way; it is left out.
   * @param serverFolder the folder of jitdb.yaml
   */
  static async read(serverFolder: string): Promise<Journal> {
    const folder = join(serverFolder, "data", "journal");
    const names = (await readdir(folder)).filter((name) => name.endsWith(".jsonl")).sort();
    const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
    return new Journal(texts.flatMap((text) => text.split("\n").slice(0, -1)));
  }

  of<Kind extends AuditKind>(kind: Kind): (EventOf<Kind> & Numbered)[] {
    return this.records.filter((record) => record.kind === kind) as (EventOf<Kind> & Numbered)[];
  }

  /** The seq of the first record whose number or link to the one before is wrong; undefined where the chain is whole. */
  firstBreak(): number | undefined {
    let prev = "0".repeat(64);
    for (const [index, record] of this.records.entries()) {
      if (record.seq !== index + 1 || record.prev !== prev) {
        return record.seq;
      }
      prev = createHash("sha256")
        .update(this.#lines[index] ?? "")
        .digest("hex");
    }
    return undefined;
  }

  /** Every text that an intent says may have run: of queries, and of what an Execute may mean. */
  statements(): Set<string> {
    const parsed = new Map(this.of("statement.parse").map((one) => [one.statement, one.text]));
    const texts = this.of("statement.intent").flatMap((intent) => {
      if (intent.protocol === "query") {
        return [intent.text];
      }
      const candidates = intent.protocol === "execute" ? intent.candidates : [];
      return candidates.map(({ text, parse }) => text ?? parsed.get(parse ?? ""));
    });
    return new Set(texts.filter((text) => typeof text === "string"));
  }
}
