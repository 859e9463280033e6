// Faults of people who log in, ask and decide.

import { grants } from "./groups/grants.ts";
import { login } from "./groups/login.ts";
import { requests } from "./groups/requests.ts";
import { runFaults } from "./run-faults.ts";
import { jitdbWorld } from "./world.ts";

runFaults([requests, grants, login], jitdbWorld);
