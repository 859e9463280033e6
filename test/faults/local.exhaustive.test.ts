// Faults that need no running jitdb-server.

import { commandLine } from "./groups/command-line.ts";
import { device } from "./groups/device.ts";
import { network } from "./groups/network.ts";
import { server } from "./groups/server.ts";
import { noWorld, runFaults } from "./run-faults.ts";

runFaults([commandLine, device, network, server], noWorld);
