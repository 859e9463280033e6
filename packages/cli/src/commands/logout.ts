// `jitdb logout`: ends the login on the server, then forgets it here.

import { JitdbError } from "@jitdb/shared/errors";
import type { CommandModule } from "../command-list.ts";
import type { Context } from "../context.ts";
import { line } from "../text.ts";

export const logoutCommand: CommandModule = {
  define: (command) =>
    command.addHelpText(
      "after",
      "\nOpen sessions of this device end with it. Grants live on: give them back with `jitdb release`.",
    ),
  run: (context) => runLogout(context),
};

export async function runLogout(context: Context): Promise<void> {
  const server = await context.server();
  const credentials = await context.credentials();
  const login = await credentials.read(server);
  if (login === undefined) {
    throw new JitdbError("login.required", `You are not logged in to ${server}.`, {
      hint: "See the login of before with `jitdb whoami`.",
    });
  }
  const refused = await endOnServer(context, server, login);
  await credentials.remove(server);
  context.terminal.say(line`Logged out of ${server}.`);
  if (refused !== undefined) {
    context.terminal.say(
      line`The server could not be told (${refused.message}) The login there ends by itself, or when an administrator ends it.`,
    );
  }
}

/** Forgetting must work without a network too, so a failure is told and not thrown. */
async function endOnServer(
  context: Context,
  server: string,
  login: Parameters<Awaited<ReturnType<Context["oauth"]>>["revoke"]>[0],
): Promise<JitdbError | undefined> {
  try {
    await (await context.oauth(server)).revoke(login);
    return undefined;
  } catch (error) {
    if (error instanceof JitdbError) {
      return error;
    }
    throw error;
  }
}
