// The private folder of a listener's Unix socket: only this user may enter it, so whoever connects needs no password.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPrivateFolder } from "../login/private-files.ts";

/** Longest path of a Unix socket: `sun_path` of Linux without its NUL. macOS has three bytes less. */
const maxPathBytes = process.platform === "linux" ? 107 : 103;

export interface SocketFolder {
  readonly path: string;
  /** Removes what was made for this process alone. */
  remove(): Promise<void>;
}

/**
 * The folder that the listeners of this home share; where its path is too long for a socket, one of the temp folder for
 * this process alone.
 * @throws JitdbError `local.storage` where others could enter the folder
 */
export async function openSharedFolder(home: string, socketName: string): Promise<SocketFolder> {
  const path = join(home, "run");
  if (!fits(path, socketName)) {
    return await createFolderOfOwn(tmpdir());
  }
  await openPrivateFolder(home);
  await openPrivateFolder(path);
  return { path, remove: async () => undefined };
}

/** A folder for this process alone, below the home where its path is short enough. */
export async function openPrivateSocketFolder(
  home: string,
  socketName: string,
): Promise<SocketFolder> {
  const shared = await openSharedFolder(home, socketName);
  const parent = fits(join(shared.path, "own-XXXXXX"), socketName) ? shared.path : tmpdir();
  await shared.remove();
  return await createFolderOfOwn(parent);
}

async function createFolderOfOwn(parent: string): Promise<SocketFolder> {
  // mkdtemp gives mode 0700 and a name that nobody could have taken before.
  const path = await mkdtemp(join(parent, parent === tmpdir() ? "jitdb-" : "own-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

function fits(folder: string, socketName: string): boolean {
  return Buffer.byteLength(join(folder, socketName)) <= maxPathBytes;
}

/** Whether a process listens on the socket, rather than having left it behind. */
export async function isAnswered(socketPath: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = connect(socketPath);
    probe.on("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
}

/** Writes down which process listens on the socket, for whoever finds it taken. */
export async function writeOwner(socketPath: string): Promise<void> {
  await writeFile(`${socketPath}.pid`, `${process.pid}\n`, { mode: 0o600 });
}

export async function readOwner(socketPath: string): Promise<string | undefined> {
  try {
    const text = await readFile(`${socketPath}.pid`, "utf8");
    return /^\d+$/.test(text.trim()) ? text.trim() : undefined;
  } catch {
    // Without the file its number is not known; that a process listens is.
    return undefined;
  }
}

/** Removes a socket and the note beside it. */
export async function removeSocket(socketPath: string): Promise<void> {
  await rm(socketPath, { force: true });
  await rm(`${socketPath}.pid`, { force: true });
}
