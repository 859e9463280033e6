// The server's ways with memory.

import { performance } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Collector } from "@jitdb/shared/memory/collector";
import { Nursery } from "@jitdb/shared/memory/nursery";
import { Tidying } from "@jitdb/shared/memory/tidying";

const collector = new Collector({ setFlagsFromString, runInNewContext });
const { eventLoopUtilization } = performance;

/** Counts what tunnels read into. */
export const nursery = new Nursery(collector);

export const tidying = new Tidying(collector, { getHeapStatistics, eventLoopUtilization });
