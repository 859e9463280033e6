// The password between local clients and the agent: one for each server and database of this device, stable, so that a GUI
// can save it. It never leaves the machine and opens nothing without a running agent. Kept as a libpq password file.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import type { Random } from "@jitdb/shared/ids";
import { Secret } from "@jitdb/shared/secret";
import { withLock } from "../login/lock.ts";
import { openPrivateFolder, readPrivateFile, writePrivateFile } from "../login/private-files.ts";

/** 192 random bits. */
const passwordBytes = 24;

export interface LocalPassword {
  readonly password: Secret;
  /** A file in the form of libpq's PGPASSFILE, mode 0600. */
  readonly file: string;
}

/**
 * The password of a database, made at the first call.
 * @throws JitdbError `local.storage` where the folder can't be used or others could read it
 */
export async function openLocalPassword(
  home: string,
  server: string,
  database: string,
  random: Random,
): Promise<LocalPassword> {
  const folder = join(home, "passwords");
  const name = `${database}-${digest(server)}.pgpass`;
  const file = join(folder, name);
  await openPrivateFolder(home);
  // Two that start at once must not make two passwords.
  return await withLock(join(home, "locks"), async () => {
    const text = await readPrivateFile(folder, name);
    if (text !== undefined) {
      return { password: parsePassword(text, file), file };
    }
    const password = Buffer.from(random.bytes(passwordBytes)).toString("base64url");
    // libpq compares with the host as it was typed.
    const lines = ["127.0.0.1", "localhost"].map((host) => `${host}:*:*:*:${password}\n`);
    await writePrivateFile(folder, name, lines.join(""));
    return { password: new Secret(password), file };
  });
}

function parsePassword(text: string, file: string): Secret {
  const password = /^127\.0\.0\.1:\*:\*:\*:([\w-]{32})$/m.exec(text)?.[1];
  if (password === undefined) {
    throw new JitdbError("local.storage", `What is kept in ${file} is damaged.`, {
      hint: `Remove it; the next \`jitdb connect\` makes a new one.`,
    });
  }
  return new Secret(password);
}

function digest(server: string): string {
  return createHash("sha256").update(server).digest("hex").slice(0, 8);
}
