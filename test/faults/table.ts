// The fault table, in the order of docs/errors.md.

import type { ShownGroup } from "./fault.ts";
import { commandLine } from "./groups/command-line.ts";
import { databases } from "./groups/databases.ts";
import { device } from "./groups/device.ts";
import { grants } from "./groups/grants.ts";
import { login } from "./groups/login.ts";
import { network } from "./groups/network.ts";
import { requests } from "./groups/requests.ts";
import { server } from "./groups/server.ts";
import { sessions } from "./groups/sessions.ts";

export const faultTable: readonly ShownGroup[] = [
  commandLine,
  login,
  requests,
  grants,
  sessions,
  databases,
  network,
  device,
  server,
];
