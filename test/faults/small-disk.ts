// A server whose data folder lies on a small disk of its own, which a row can fill.

import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import type { Installation } from "../support/installation.ts";
import { programs, waitForOutput } from "../support/programs.ts";
import type { Scene } from "./scene.ts";

/** Mounted where only the server sees it (a mount namespace), so that it goes with the server, however that ends. */
const start = `
  cp -a data data.copy &&
  mount -t tmpfs -o size=32m,mode=700 tmpfs data &&
  cp -a data.copy/. data && rm -r data.copy &&
  exec "$0" "$1" start`;

export class SmallDisk {
  #filler = "";

  /** Starts the installation's server on a copy of its data; with the scene the ordinary one comes back. */
  async start(scene: Scene, installation: Installation): Promise<void> {
    const { serverFolder } = installation;
    await installation.stopServer();
    scene.after(() => installation.startServer());
    const server = execa(
      "unshare",
      ["--mount", "sh", "-c", start, process.execPath, programs["jitdb-server"]],
      { cwd: serverFolder, reject: false },
    );
    scene.after(async () => {
      server.kill("SIGTERM");
      await server;
    });
    server.stderr.resume();
    await waitForOutput(server, "stdout", /^Ready: /m);
    this.#filler = join(`/proc/${server.pid}/root`, serverFolder, "data", "filler");
  }

  /** Leaves no byte free. */
  fill(): void {
    const file = openSync(this.#filler, "w");
    const chunk = Buffer.alloc(65_536);
    try {
      for (;;) {
        writeSync(file, chunk);
      }
    } catch {
      // That is the point: no space left on device.
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.#filler, { force: true });
  }
}
