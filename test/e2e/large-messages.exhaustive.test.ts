// Messages that are too large to hold: agent and server pass them on as they come (invariant 14). At full size: test/soak/large-messages.soak.test.ts.

import { testLargeMessages } from "./large-messages-suite.ts";

testLargeMessages({ size: "48 MB", bytes: 48 * 1024 ** 2, bytesBefore: 16 * 1024 ** 2 });
