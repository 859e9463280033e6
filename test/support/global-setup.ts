// Builds the two programs once, before the first test that starts them.

import { build } from "../../scripts/build.ts";

export async function setup(): Promise<void> {
  await build();
}
