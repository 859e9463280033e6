// Which server a command talks to.

import { JitdbError } from "@jitdb/shared/errors";
import { parseServerAddress } from "../network/address.ts";
import type { Credentials } from "./credentials.ts";

/**
 * The server that was named (by `--server`, else by JITDB_SERVER), else the one that was logged in to last.
 * @throws JitdbError `server.none`; for the name `usage.invalid` and `server.insecure`.
 */
export async function chooseServer(
  named: string | undefined,
  credentials: Pick<Credentials, "servers">,
): Promise<string> {
  if (named !== undefined) {
    return parseServerAddress(named);
  }
  const { current } = await credentials.servers();
  if (current === null) {
    throw new JitdbError("server.none", "No server is known yet.");
  }
  return current;
}
