// jitdb without records, for what they cost: the server's own source, bundled once more with an observer that sees nothing. The product has no
// switch for that, and gets none here.

import { join } from "node:path";
import { buildServer } from "../../scripts/build.ts";

const blindObserver = join(import.meta.dirname, "blind-observer.ts");

/** Bundles it, and gives the program's file. */
export async function buildUnrecorded(): Promise<string> {
  let replaced = 0;
  const folder = await buildServer(".cache/unrecorded", {
    name: "blind observer",
    setup(bundle) {
      bundle.onResolve({ filter: /\/observer\/observer\.ts$/ }, () => {
        replaced += 1;
        return { path: blindObserver };
      });
    },
  });
  if (replaced === 0) {
    throw new Error(
      "The server has its observer elsewhere: jitdb without records would have them.",
    );
  }
  return join(folder, "main.js");
}
