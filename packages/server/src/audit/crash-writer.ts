// Appends to a journal until it is killed, and says after each flush what is flushed. Started by journal.crash.test.ts.

import { writeSync } from "node:fs";
import { openJournal } from "./journal.ts";

const [folder = ""] = process.argv.slice(2);
const journal = openJournal({
  folder,
  clock: { now: () => Date.now() },
  random: { bytes: (count) => new Uint8Array(count) },
  segmentBytes: 20_000,
});
for (let turn = 1; ; turn += 1) {
  for (let count = 0; count < turn % 7; count += 1) {
    journal.append({ kind: "server.stopped", reason: "x".repeat(turn % 997) });
  }
  journal.flush();
  writeSync(1, `${journal.flushedSeq}\n`);
}
