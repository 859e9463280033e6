// The targets, in the order in which they run.

import type { Target } from "./target.ts";
import { backTarget } from "./targets/back.ts";
import { decoderTarget } from "./targets/decoder.ts";
import { frontTarget } from "./targets/front.ts";
import { loginTarget } from "./targets/login.ts";
import { hostileServerTarget, observerTarget } from "./targets/observer.ts";
import { optionsTarget } from "./targets/options.ts";
import { parsersTarget } from "./targets/parsers.ts";
import { realTarget } from "./targets/real.ts";
import { longSqlTarget, sqlTarget } from "./targets/sql.ts";
import { tunnelTarget } from "./targets/tunnel.ts";

export const targets: readonly Target[] = [
  decoderTarget,
  parsersTarget,
  optionsTarget,
  sqlTarget,
  observerTarget,
  hostileServerTarget,
  tunnelTarget,
  backTarget,
  loginTarget,
  frontTarget,
];

/** With those that are heavy or need a real server, for the long run. */
export const longTargets: readonly Target[] = [
  ...targets,
  longSqlTarget,
  realTarget("system"),
  realTarget("embedded"),
];
