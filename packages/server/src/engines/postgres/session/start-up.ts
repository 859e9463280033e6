// What of a client's start-up packet is passed on. The front checks for comfort; this is the check that counts (invariant 15).
// Sources: PostgreSQL's ProcessStartupPacket, pg_split_opts, process_postgres_switches and ParseLongOption.

import { JitdbError } from "@jitdb/shared/errors";
import { decodeLatin1, decodeText } from "@jitdb/shared/postgres/reader";
import {
  parseStartupPacket,
  type StartupMessage,
  type StartupParameter,
  startupParameter,
} from "@jitdb/shared/postgres/startup";
import type { DatabaseConfig } from "../../../config/config.ts";
import { isAllowedStartUpSetting } from "../start-up-settings.ts";

/**
 * The settings that a client brings along, in the order in which the server applies them: those of `options` first.
 * Names other than settings are the gateway's to fill in (`user`, `database`), or are answered by the front (`_pq_.…`).
 *
 * SECURITY: the text of `options` is not passed on, but what was read from it, each as a parameter of its own. So a
 * difference between this reader and the server's is no way around the allowlist.
 * @throws JitdbError `postgres.protocol` for no start-up packet, `database.unknown` for another database than the
 * grant's, `postgres.start_up` for a parameter that is not on the allowlist
 */
export function readStartUp(
  packet: Uint8Array,
  database: Pick<DatabaseConfig, "name" | "database">,
): readonly StartupParameter[] {
  const message = parseStartupPacket(packet);
  if (message.kind !== "startup") {
    throw new JitdbError("postgres.protocol", "A session begins with a start-up packet.");
  }
  checkDatabase(message, database);
  const options = startupParameter(message, "options");
  const settings = [
    ...(options === undefined ? [] : parseOptions(decodeLatin1(options))),
    ...message.parameters.filter(({ name }) => !isOfConnection(name)),
  ];
  for (const { name } of settings) {
    if (!isAllowedStartUpSetting(name) || isOfConnection(name)) {
      throw refused(`the parameter "${printable(name)}" cannot be set here`);
    }
  }
  return settings;
}

/** Parameters of the connection itself. `replication` is not among them: it is no setting, so it is refused. */
function isOfConnection(name: string): boolean {
  return ["user", "database", "options"].includes(name) || name.startsWith("_pq_.");
}

/** The client may leave it out, say what libpq says when it was left out (the user's name), or name what the grant is for. */
function checkDatabase(
  message: StartupMessage,
  database: Pick<DatabaseConfig, "name" | "database">,
): void {
  const asked = decodeText(startupParameter(message, "database") ?? new Uint8Array(0));
  const user = decodeText(startupParameter(message, "user") ?? new Uint8Array(0));
  if (!["", user, database.database, database.name].includes(asked)) {
    throw new JitdbError(
      "database.unknown",
      `This connection is for ${database.name}; the database "${printable(asked)}" is not part of it.`,
      { hint: `Leave the database's name out, or use "${database.name}".` },
    );
  }
}

function parseOptions(options: string): StartupParameter[] {
  const settings: StartupParameter[] = [];
  const words = splitOptions(options);
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? "";
    if (word === "-c") {
      index += 1;
      settings.push(parseSetting(words[index] ?? ""));
    } else if (word.startsWith("-c") || (word.startsWith("--") && word.length > 2)) {
      settings.push(parseSetting(word.slice(2)));
    } else {
      throw refused(`the option "${printable(word)}" cannot be used here`);
    }
  }
  return settings;
}

/** Words between white space; a backslash takes the next character as it is, and is gone where none follows. */
function splitOptions(options: string): string[] {
  const words = options.match(/(?:\\.|[^\\ \t\n\v\f\r])+/gs) ?? [];
  return words.map((word) => word.replaceAll(/\\(.)/gs, "$1"));
}

function parseSetting(text: string): StartupParameter {
  const split = text.indexOf("=");
  if (split < 1) {
    throw refused(`the option "${printable(text)}" has no value`);
  }
  // One character a byte, so this gives back the exact bytes.
  const value = Uint8Array.from(text.slice(split + 1), (character) => character.charCodeAt(0));
  return { name: text.slice(0, split).replaceAll("-", "_"), value };
}

function refused(why: string): JitdbError {
  return new JitdbError("postgres.start_up", `The connection was refused: ${why}.`);
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 100);
}
