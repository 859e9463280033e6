// The server's one nursery: what tunnels read into.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Nursery } from "@jitdb/shared/nursery";

export const nursery = new Nursery({ setFlagsFromString, runInNewContext });
