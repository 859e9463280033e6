// What differs between operating systems, all of it: file modes and owners, browsers, names of devices.

import { userInfo } from "node:os";
import { JitdbError } from "@jitdb/shared/errors";

export const isWindows = process.platform === "win32";

/** What `stat` tells of a file or folder. */
export interface Ownership {
  readonly mode: number;
  readonly uid: number;
}

/**
 * Refuses a file or folder that anybody but this user may read or write. On Windows the profile's ACL does that job.
 * @throws JitdbError `local.storage` with the command that mends it.
 */
export function checkPrivate(path: string, found: Ownership, wantedMode: 0o600 | 0o700): void {
  if (isWindows) {
    return;
  }
  if (found.uid !== userInfo().uid) {
    throw new JitdbError("local.storage", `${path} belongs to another user.`, {
      hint: `Run \`sudo chown -R "$(id -un)" '${path}'\`, or set JITDB_HOME to a folder of your own.`,
    });
  }
  if ((found.mode & 0o077) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
    throw new JitdbError("local.storage", `${path} is open to other users (mode ${mode}).`, {
      hint: `Run \`chmod ${wantedMode.toString(8)} '${path}'\`.`,
    });
  }
}

/** The program and arguments that open `url` in the browser, or undefined where there is none to open. */
export function browserCommand(
  url: string,
  { display, platform = process.platform }: { display: boolean; platform?: NodeJS.Platform },
): readonly [string, readonly string[]] | undefined {
  // SECURITY: the address comes from a server; another scheme could start any program that registered for it.
  if (!/^https?:\/\//i.test(url)) {
    return undefined;
  }
  switch (platform) {
    case "darwin":
      return ["open", [url]];
    case "win32":
      // Not `cmd /c start`: the shell would read an address's & and ^.
      return ["rundll32", ["url.dll,FileProtocolHandler", url]];
    default:
      return display ? ["xdg-open", [url]] : undefined;
  }
}

/** How this device is called on the verification page: `alice-laptop (linux)`. */
export function deviceLabel(
  hostname: string,
  platform: NodeJS.Platform = process.platform,
): string {
  const names: Partial<Record<NodeJS.Platform, string>> = { darwin: "macOS", win32: "Windows" };
  const host = hostname
    .replaceAll(/\p{Cc}/gu, "")
    .replace(/\.local$/, "")
    .slice(0, 60);
  return `${host || "unnamed"} (${names[platform] ?? platform})`;
}
