// A server's credentials service in a process of its own, which kills itself after a given step.
// Started by crash.exhaustive.test.ts with one JSON argument.

import type { LifeStep } from "../../packages/server/src/credentials/database-users.ts";
import { openStore } from "../../packages/server/src/store/store.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { databaseConfig } from "./fixture.ts";
import { createCredentials, systemClock } from "./service-fixture.ts";

interface Task {
  readonly folder: string;
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly adminPassword: string;
  /** The database has done this step, nothing is written down about it yet; null: it lives. */
  readonly dieAfter: LifeStep | null;
}

const task: Task = JSON.parse(process.argv[2] ?? "");
const store = await openStore({ folder: task.folder, clock: systemClock, address: "test" });
const service = createCredentials(store, databaseConfig(task, new Secret(task.adminPassword)), {
  async afterStep(_userName, step) {
    if (step === task.dieAfter) {
      process.kill(process.pid, "SIGKILL");
      // Nothing more happens in a process that is killed.
      await new Promise(() => {});
    }
  },
});
await service.tick();
await service.stop();
await store.close();
