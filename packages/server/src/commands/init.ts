// jitdb-server init: an installation in a folder, with its first administrator.

import type { Command } from "commander";
import { isLoopback } from "../config/addresses.ts";
import { exampleSections } from "../config/template.ts";
import { systemPorts } from "../system.ts";
import { createInstallation, shownPath } from "./installation.ts";
import type { Terminal } from "./terminal.ts";

/** A proxy on the same machine reaches a loopback listener by one of these. */
const proxiesOnThisMachine = ["127.0.0.1", "::1"];

interface InitOptions {
  readonly folder: string;
  readonly admin: string;
  readonly adminPasswordStdin?: true;
  readonly publicUrl?: string;
  readonly listen: string;
}

export function defineInit(command: Command, terminal: Terminal): void {
  command
    .option("--folder <folder>", "where to write", ".")
    .option("--admin <name>", "name of the first administrator", "admin")
    .option("--admin-password-stdin", "read their password from stdin instead of making a link")
    .option("--public-url <url>", "what people call the server, such as https://jitdb.example.com")
    .option("--listen <address>", "address and port to listen on", "127.0.0.1:7480")
    .action((options: InitOptions) => init(options, terminal));
}

async function init(options: InitOptions, terminal: Terminal): Promise<void> {
  const password = options.adminPasswordStdin ? await terminal.readSecret() : undefined;
  const { configFile, link } = await createInstallation(
    {
      folder: options.folder,
      template: {
        listen: options.listen,
        publicUrl: options.publicUrl,
        trustedProxies: isEncryptedElsewhere(options) ? proxiesOnThisMachine : undefined,
        confirmDevices: "approval",
        sections: exampleSections,
      },
      admin: { name: options.admin, password },
    },
    systemPorts(),
  );
  const shown = shownPath(configFile);
  terminal.say(`Wrote ${shown}, and beside it master.key and data. Back up master.key.`);
  terminal.say(`Next: add a database and a policy to ${shown}, then run`);
  terminal.say(`  jitdb-server check --config ${shown}`);
  terminal.say(`  jitdb-server start --config ${shown}`);
  if (link !== undefined) {
    terminal.say(`Then ${options.admin} chooses a password here, until ${link.expiresAt}:`);
    terminal.print(link.url);
  }
  terminal.say(`Once ${options.admin} has logged in, vouch for their device; nobody else could:`);
  terminal.say(`  jitdb-server devices confirm ${options.admin} --config ${shown}`);
}

/** Who calls the server https:// and listens on loopback has a proxy in front that speaks TLS: nobody else could. */
function isEncryptedElsewhere({ publicUrl, listen }: InitOptions): boolean {
  const host = listen.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return publicUrl?.startsWith("https:") === true && isLoopback(host);
}
