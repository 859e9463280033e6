// Where the clone stands.

import { dirname } from "node:path";

/** The folder that holds the workspace's package.json. */
export const root: string = dirname(import.meta.dirname);
