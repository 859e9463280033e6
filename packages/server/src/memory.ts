// The server's ways with memory.

import { performance } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Collector } from "@jitdb/shared/memory/collector";
import { keepCompiledCode } from "@jitdb/shared/memory/compiled-code";
import { Nursery } from "@jitdb/shared/memory/nursery";
import { Tidying } from "@jitdb/shared/memory/tidying";

keepCompiledCode({ setFlagsFromString, v8Version: process.versions.v8 });

const collector = new Collector({ setFlagsFromString, runInNewContext });
const { eventLoopUtilization } = performance;

/** Counts what tunnels read into. */
export const nursery = new Nursery(collector);

export const tidying = new Tidying(collector, { getHeapStatistics, eventLoopUtilization });
