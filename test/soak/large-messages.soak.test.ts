// The largest messages that PostgreSQL takes, a gigabyte each, pass agent and server in constant memory (invariant 14).

import { testLargeMessages } from "../e2e/large-messages-suite.ts";

testLargeMessages({ size: "1 GB", bytes: 1_000_000_000, bytesBefore: 128 * 1024 ** 2 });
