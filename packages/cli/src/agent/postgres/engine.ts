// PostgreSQL as an engine of the agent.

import type { Engine } from "../engine.ts";
import { PostgresFront } from "./front.ts";

export const postgresEngine: Engine = {
  name: "postgres",
  socketName: (port) => `.s.PGSQL.${port}`,
  createFront: (ports) => PostgresFront.create(ports),
};
