// What of a client's start-up packet is passed on. The front checks for comfort; this is the check that counts (invariant 15).
// Source: PostgreSQL's ProcessStartupPacket.

import { JitdbError } from "@jitdb/shared/errors";
import { decodeLatin1, decodeText } from "@jitdb/shared/postgres/reader";
import {
  isProtocolOption,
  parseStartupPacket,
  type StartupMessage,
  type StartupParameter,
  startupParameter,
} from "@jitdb/shared/postgres/startup";
import type { DatabaseConfig } from "../../../config/config.ts";
import { parseOptions, printable, refused } from "../start-up-options.ts";
import { isAllowedStartUpSetting } from "../start-up-settings.ts";

/** What a client asks for at its start. */
export interface StartUp {
  /** The protocol's version, 3.0 or later: not necessarily one that there is. */
  readonly version: number;
  /** Names of the options of the protocol (`_pq_.…`), as they came. We know none of them. */
  readonly protocolOptions: readonly string[];
  /** The settings that it brings along, in the order in which the server applies them: those of `options` first. */
  readonly settings: readonly StartupParameter[];
}

/**
 * Reads and checks a client's start-up packet. User and database are the gateway's to fill in.
 *
 * SECURITY: the text of `options` is not passed on, but what was read from it, each as a parameter of its own. So a
 * difference between this reader and the server's is no way around the allowlist.
 * @throws JitdbError `postgres.protocol` for no start-up packet, `postgres.version`, `database.unknown` for another database
 * than the grant's, `postgres.replication`, `postgres.start_up` for a parameter that is not on the allowlist
 */
export function readStartUp(
  packet: Uint8Array,
  database: Pick<DatabaseConfig, "name" | "database">,
): StartUp {
  const message = parseStartupPacket(packet);
  if (message.kind !== "startup") {
    throw new JitdbError("postgres.protocol", "A session begins with a start-up packet.");
  }
  checkDatabase(message, database);
  checkReplication(message);
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
  const protocolOptions = message.parameters.map(({ name }) => name).filter(isProtocolOption);
  return { version: message.version, protocolOptions, settings };
}

/** Parameters of the connection itself, which are no settings. */
function isOfConnection(name: string): boolean {
  return ["user", "database", "options", "replication"].includes(name) || isProtocolOption(name);
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

/**
 * A client may say that it wants no replication, in any of the ways that the server reads as false. SECURITY: none of it is
 * passed on: what a walsender runs would not be on record.
 */
function checkReplication({ parameters }: StartupMessage): void {
  for (const { value } of parameters.filter(({ name }) => name === "replication")) {
    const text = decodeLatin1(value);
    if (!isFalse(text)) {
      throw new JitdbError(
        "postgres.replication",
        `Replication does not pass through jitdb (replication=${printable(text)}).`,
      );
    }
  }
}

/** As the server's parse_bool: a beginning that means nothing else is enough, in any case. */
function isFalse(text: string): boolean {
  return /^(?:0|f(?:a(?:l(?:se?)?)?)?|no?|off?)$/i.test(text);
}
