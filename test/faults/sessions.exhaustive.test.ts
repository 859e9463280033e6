// Faults of sessions and of the databases behind them.

import { databases } from "./groups/databases.ts";
import { sessions } from "./groups/sessions.ts";
import { runFaults } from "./run-faults.ts";
import { jitdbWorld } from "./world.ts";

runFaults([sessions, databases], jitdbWorld);
