// The catalogue of every error that jitdb can show, and the one class that carries them.
// Four borders turn a JitdbError into their own language: HTTP, PostgreSQL, the tunnel and the CLI's outermost catch.

/** Exit codes of `jitdb` and `jitdb-server`; the one table, printed by `jitdb help exit-codes`. */
export const exitCodes = {
  ok: 0,
  internal: 1,
  usage: 2,
  login: 3,
  refused: 4,
  denied: 5,
  lapsed: 6,
  network: 7,
  ended: 8,
  notFound: 9,
  conflict: 10,
  database: 11,
  interrupted: 130,
} as const;

/** A row of the catalogue: what each border says for one code. */
export interface ErrorForms {
  /** HTTP status of the API's answer. */
  readonly http: number;
  /** SQLSTATE that a PostgreSQL client sees (PostgreSQL manual, appendix A). */
  readonly sqlstate: string;
  /** Error number that a MySQL client sees. */
  readonly mysqlErrno: number;
  /** WebSocket close code when this error ends a tunnel (RFC 6455 §7.4; 4000–4999 are ours). */
  readonly wsClose: number;
  /** Exit code of the command that ends with this error. */
  readonly exit: (typeof exitCodes)[keyof typeof exitCodes];
  /** What to do next; contains a command wherever one helps. A thrown error may carry a more exact one. */
  readonly hint: string;
}

const { internal, usage, login, refused, denied, lapsed, network, ended, notFound, conflict } =
  exitCodes;
const database = exitCodes.database;

function forms(
  http: number,
  sqlstate: string,
  mysqlErrno: number,
  wsClose: number,
  exit: ErrorForms["exit"],
  hint: string,
): ErrorForms {
  return { http, sqlstate, mysqlErrno, wsClose, exit, hint };
}

/** Every error code, with its form at each border. A code without all of its columns does not compile. */
// biome-ignore format: a table reads as rows
export const catalogue = {
  internal: forms(500, "XX000", 1105, 1011, internal, "Try again; the server's log has the detail."),
  "usage.invalid": forms(400, "22023", 1210, 1008, usage, "See `jitdb --help`."),
  "usage.duration": forms(400, "22023", 1210, 1008, usage, "Write a duration such as 30m, 2h or 1h30m."),
  "usage.ambiguous": forms(409, "22023", 1210, 1008, usage, "Name the one you mean."),
  "local.interrupted": forms(499, "57014", 1317, 1000, exitCodes.interrupted, "Start the command again."),
  "local.storage": forms(500, "58030", 1105, 1011, internal, "Check the folder's owner, its mode and the free space."),
  "local.port_in_use": forms(409, "55006", 1105, 1011, conflict, "Choose another with --port, or end the program that holds it."),
  "local.client_missing": forms(404, "58P01", 1105, 1011, notFound, "Install the client, or use `jitdb sql`, which needs none."),
  "local.password": forms(401, "28P01", 1045, 1008, login, "Use the password that `jitdb connect` shows for this database."),
  "server.unreachable": forms(503, "08001", 2003, 1013, network, "Check the address, your network and HTTPS_PROXY, then run the same command again."),
  "server.insecure": forms(400, "08001", 2003, 1008, usage, "Use https://; plain HTTP is for loopback addresses alone."),
  "server.certificate": forms(503, "08001", 2026, 1015, network, "Pass the company's CA with NODE_EXTRA_CA_CERTS or `--ca`."),
  "server.unsuitable": forms(502, "08001", 2003, 1002, network, "Check that the address is that of a jitdb server of the same major version."),
  "server.none": forms(400, "08001", 2003, 1008, usage, "Run `jitdb login <server>` first, or set JITDB_SERVER."),
  "login.required": forms(401, "28000", 1045, 4401, login, "Run `jitdb login`."),
  "login.expired": forms(401, "28000", 1045, 4401, login, "Run `jitdb login` again."),
  "login.denied": forms(403, "28000", 1045, 4401, login, "Run `jitdb login` again and confirm the code in the browser."),
  "login.proof": forms(401, "28000", 1045, 4401, login, "Check this machine's clock, then run `jitdb login` again."),
  "login.disabled": forms(403, "28000", 1045, 4403, login, "Ask an administrator to enable the account."),
  "login.service": forms(403, "28000", 1045, 4403, login, "Check the service's section in jitdb.yaml, then run `jitdb login --service <name>` with a new token."),
  "login.provider": forms(503, "28000", 1045, 4403, login, "Try again in a minute; nothing was changed. Local accounts log in with their password."),
  "login.company": forms(403, "28000", 1045, 4403, login, "Ask an administrator of this server, then run `jitdb login` again."),
  "login.stale": forms(403, "28000", 1045, 4403, login, "Run `jitdb login --again`, then the same command."),
  "login.rate_limited": forms(429, "53300", 1226, 1013, login, "Wait a minute, then try again."),
  "person.unknown": forms(404, "42704", 1105, 4404, notFound, "List them with `jitdb-server users list`."),
  "person.exists": forms(409, "42710", 1105, 4409, conflict, "Choose another name, or see `jitdb-server users list`."),
  "device.unknown": forms(404, "42704", 1105, 4404, notFound, "List yours with `jitdb devices`."),
  "device.unconfirmed": forms(403, "42501", 1142, 4403, refused, "Run `jitdb devices confirm <id>` on a device that you use already, or have it confirmed on the server with `jitdb-server devices confirm <name>`."),
  "access.forbidden": forms(403, "42501", 1142, 4403, refused, "Ask somebody in one of the groups that may do this."),
  "access.own_request": forms(403, "42501", 1142, 4403, refused, "Ask somebody else to run `jitdb approve`."),
  "policy.no_match": forms(403, "42501", 1142, 4403, refused, "See what you may ask for with `jitdb databases`."),
  "policy.duration": forms(403, "42501", 1142, 4403, refused, "Ask for a shorter time with --for."),
  "policy.limit": forms(403, "42501", 1142, 4403, refused, "Wait until the rule allows more, or ask an administrator."),
  "api.unknown": forms(404, "42704", 1105, 4404, notFound, "Check that CLI and server are of the same major version."),
  "api.method": forms(405, "42704", 1105, 1008, usage, "Check that CLI and server are of the same major version."),
  "database.unknown": forms(404, "3D000", 1049, 4404, notFound, "List them with `jitdb databases`."),
  "database.unavailable": forms(503, "08006", 2003, 1013, database, "Wait until the database is back; the grant is kept and `jitdb connect` can be run again."),
  "database.misconfigured": forms(500, "08004", 2003, 1011, database, "An administrator runs `jitdb-server check`, which names the fix."),
  "database.unsafe_profile": forms(403, "42501", 1142, 4403, refused, "An administrator runs `jitdb-server check`, which names the role."),
  "database.password": forms(502, "28P01", 1045, 1011, database, "Connect again in a moment: the user gets a new password."),
  "database.not_ready": forms(503, "57P03", 1040, 1013, database, "The database user is still being made; try again in a moment."),
  "request.unknown": forms(404, "02000", 1105, 4404, notFound, "List them with `jitdb requests`."),
  "request.decided": forms(409, "55000", 1105, 4409, conflict, "See the outcome with `jitdb requests --all`."),
  "request.denied": forms(403, "42501", 1142, 4403, denied, "Talk to the approver, then ask again with `jitdb request`."),
  "request.lapsed": forms(410, "42501", 1142, 4410, lapsed, "Ask again with `jitdb request`."),
  "grant.none": forms(404, "42501", 1142, 4404, notFound, "Ask for access with `jitdb request <database> --for 30m`."),
  "grant.unknown": forms(404, "42501", 1142, 4404, notFound, "List yours with `jitdb grants`."),
  "grant.expired": forms(410, "57P01", 1053, 4410, ended, "Ask again with `jitdb request <database> --for 30m`."),
  "grant.revoked": forms(410, "57P01", 1053, 4410, ended, "Talk to who revoked it, or ask again with `jitdb request`."),
  "grant.not_started": forms(409, "42501", 1142, 4409, conflict, "See when it begins with `jitdb grants`."),
  "review.not_open": forms(409, "55000", 1105, 4409, conflict, "List those that wait with `jitdb review list`."),
  "traces.not_open": forms(409, "55000", 1105, 4409, conflict, "See it with `jitdb grants show <id>`."),
  "audit.unavailable": forms(503, "58030", 1105, 1011, internal, "Nothing ran. An administrator checks the disk of the audit journal."),
  "limit.reached": forms(429, "53300", 1040, 1013, conflict, "Close what you no longer use, then try again."),
  "store.held": forms(409, "55006", 1105, 1011, conflict, "Stop the other server first, or start it with another data folder."),
  "store.damaged": forms(500, "58030", 1105, 1011, internal, "Restore the store from a backup."),
  "store.newer": forms(500, "58030", 1105, 1011, usage, "Start the newer jitdb-server."),
  "config.invalid": forms(500, "F0000", 1105, 1011, usage, "Mend the file, then run `jitdb-server check`."),
  "tunnel.protocol": forms(400, "08P01", 1835, 1002, network, "Check that CLI and server are of the same major version."),
  "tunnel.too_large": forms(413, "08P01", 1153, 1009, network, "Check that CLI and server are of the same major version."),
  "tunnel.window_overrun": forms(400, "08P01", 1835, 1008, network, "Check that CLI and server are of the same major version."),
  "tunnel.too_many_streams": forms(429, "53300", 1040, 1013, conflict, "Close idle clients, then try again."),
  "tunnel.going_away": forms(503, "57P01", 1053, 1001, network, "Run `jitdb connect` again."),
  "tunnel.lost": forms(503, "08006", 2013, 1006, network, "Run `jitdb connect` again."),
  "postgres.protocol": forms(400, "08P01", 1835, 1002, network, "Only PostgreSQL clients can use this listener."),
  "postgres.too_large": forms(413, "54000", 1153, 1009, network, "Send less at once."),
  "postgres.auth": forms(502, "28000", 1045, 1011, database, "An administrator runs `jitdb-server check`."),
  "postgres.start_up": forms(400, "22023", 1210, 1008, usage, "Take the parameter out of the connection string."),
  "postgres.version": forms(400, "0A000", 1235, 1002, network, "Use a client that speaks version 3 of PostgreSQL's protocol."),
  "postgres.replication": forms(400, "0A000", 1235, 1008, usage, "Take `replication` out of the connection string; pg_dump and COPY work through jitdb."),
} as const satisfies Record<string, ErrorForms>;

/** A stable name of what went wrong; scripts may rely on it. */
export type ErrorCode = keyof typeof catalogue;

/** Whether a string that came from a peer is one of ours. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(catalogue, value);
}

export interface ErrorOptionsOfOurs {
  /** What to do next, more exact than the catalogue's. */
  readonly hint?: string | undefined;
  /** The original error; for the log, never sent. */
  readonly cause?: unknown;
  /** Private detail; for the server's log, never sent. */
  readonly detail?: string | undefined;
}

/**
 * An error that a person may see. `message` says what happened, with the values; `hint` says what to do next.
 * `cause` and `detail` stay in the process.
 */
export class JitdbError extends Error {
  override readonly name = "JitdbError";
  readonly code: ErrorCode;
  readonly hint: string;
  readonly detail: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptionsOfOurs = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? catalogue[code].hint;
    this.detail = options.detail;
  }

  get forms(): ErrorForms {
    return catalogue[this.code];
  }
}

/** Any thrown value as a JitdbError: one of ours as it is, anything else as `internal` with its cause kept private. */
export function toJitdbError(thrown: unknown): JitdbError {
  if (thrown instanceof JitdbError) {
    return thrown;
  }
  return new JitdbError("internal", "Something went wrong inside jitdb.", { cause: thrown });
}
