// Files that only their owner may read, in a folder that only its owner may enter.

import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { checkPrivate } from "../platform.ts";

/** Makes the folder (0700) or checks that it is private. @throws JitdbError `local.storage` */
export async function openPrivateFolder(path: string): Promise<void> {
  await guarded(path, async () => {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await checkFolder(path);
  });
}

/** The text of a private file, or undefined where there is none. @throws JitdbError `local.storage` where others could read it. */
export async function readPrivateFile(folder: string, name: string): Promise<string | undefined> {
  const path = join(folder, name);
  return await guarded(path, async () => {
    try {
      await checkFolder(folder);
      checkPrivate(path, await stat(path), 0o600);
      return await readFile(path, "utf8");
    } catch (error) {
      if (isMissing(error)) {
        return undefined;
      }
      throw error;
    }
  });
}

/** Replaces a private file as a whole: readers see the old text or the new one, also after a crash. */
export async function writePrivateFile(folder: string, name: string, text: string): Promise<void> {
  const path = join(folder, name);
  await guarded(path, async () => {
    await openPrivateFolder(folder);
    const draft = `${path}.${randomBytes(6).toString("hex")}`;
    try {
      const file = await open(draft, "wx", 0o600);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, path);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  });
}

async function checkFolder(path: string): Promise<void> {
  const found = await stat(path);
  if (!found.isDirectory()) {
    throw new JitdbError("local.storage", `${path} is not a folder.`, {
      hint: "Move it out of the way, or set JITDB_HOME to another folder.",
    });
  }
  checkPrivate(path, found, 0o700);
}

async function guarded<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof JitdbError) {
      throw cause;
    }
    throw unusable(path, cause);
  }
}

function unusable(path: string, cause: unknown): JitdbError {
  const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return new JitdbError("local.storage", `Can't use ${path}${code}.`, { cause });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
