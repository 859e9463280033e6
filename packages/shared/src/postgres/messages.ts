// The message types of PostgreSQL's frontend/backend protocol 3.0 and 3.2, and its limits.
// Source: PostgreSQL 18 manual, chapter "Frontend/Backend Protocol", section "Message Formats".

/** Limits of the protocol. Lengths are the announced ones: they count the length word itself, never the type byte. */
export const postgresLimits = {
  /** Bytes of a start-up packet. The server's own limit is the same but leaves the length word out. */
  maxStartupBytes: 10_000,
  /** Smallest length word: a message with no body. */
  minMessageLength: 4,
  /** Largest length word: the field is a signed 32-bit integer. */
  maxMessageLength: 2 ** 31 - 1,
  /** Bytes of a cancel key: always 4 in protocol 3.0, up to 256 in 3.2. */
  minCancelKeyBytes: 4,
  maxCancelKeyBytes: 256,
  /** Counts of parameters, columns and format codes are unsigned 16-bit integers. */
  maxCount: 65_535,
  /** Bytes of a statement's or a portal's name that the server tells apart (NAMEDATALEN - 1). */
  maxNameBytes: 63,
} as const;

/** Bytes before a message's body: the type and the length word. */
export const headerBytes = 5;

/** Type bytes of what a frontend sends. The first packet of a connection has none: see startup.ts. */
export const frontendMessages = {
  Bind: 0x42, // B
  Close: 0x43, // C
  CopyData: 0x64, // d
  CopyDone: 0x63, // c
  CopyFail: 0x66, // f
  Describe: 0x44, // D
  Execute: 0x45, // E
  Flush: 0x48, // H
  FunctionCall: 0x46, // F
  GSSResponse: 0x70, // p
  Parse: 0x50, // P
  PasswordMessage: 0x70, // p
  Query: 0x51, // Q
  SASLInitialResponse: 0x70, // p
  SASLResponse: 0x70, // p
  Sync: 0x53, // S
  Terminate: 0x58, // X
} as const;

/** Type bytes of what a backend sends. All authentication requests share one; their first Int32 tells them apart. */
export const backendMessages = {
  Authentication: 0x52, // R
  BackendKeyData: 0x4b, // K
  BindComplete: 0x32, // 2
  CloseComplete: 0x33, // 3
  CommandComplete: 0x43, // C
  CopyBothResponse: 0x57, // W
  CopyData: 0x64, // d
  CopyDone: 0x63, // c
  CopyInResponse: 0x47, // G
  CopyOutResponse: 0x48, // H
  DataRow: 0x44, // D
  EmptyQueryResponse: 0x49, // I
  ErrorResponse: 0x45, // E
  FunctionCallResponse: 0x56, // V
  NegotiateProtocolVersion: 0x76, // v
  NoData: 0x6e, // n
  NoticeResponse: 0x4e, // N
  NotificationResponse: 0x41, // A
  ParameterDescription: 0x74, // t
  ParameterStatus: 0x53, // S
  ParseComplete: 0x31, // 1
  PortalSuspended: 0x73, // s
  ReadyForQuery: 0x5a, // Z
  RowDescription: 0x54, // T
} as const;

/** What bulk is made of, in either direction: rows and data of COPY, of which a relay need only know how many went by. */
export const bulkMessages: ReadonlySet<number> = new Set([
  backendMessages.CopyData,
  backendMessages.DataRow,
]);

/** First Int32 of an authentication request's body. */
export const authenticationCodes = {
  Ok: 0,
  KerberosV5: 2,
  CleartextPassword: 3,
  MD5Password: 5,
  GSS: 7,
  GSSContinue: 8,
  SSPI: 9,
  SASL: 10,
  SASLContinue: 11,
  SASLFinal: 12,
} as const;

/** Who sent the messages of a stream. */
export type Sender = "frontend" | "backend";

/** The manual's name of a message, for errors and logs; `undefined` for a type byte that this sender never sends. */
export function messageName(sender: Sender, type: number): string | undefined {
  return names[sender].get(type);
}

// SASLResponse and its like stand for whatever `p` carries: which of them it is depends on the exchange, not on the byte.
const names = {
  frontend: new Map<number, string>(byType(frontendMessages)),
  backend: new Map<number, string>(byType(backendMessages)),
};

function byType(table: Readonly<Record<string, number>>): [number, string][] {
  return Object.entries(table).map(([name, type]) => [type, name]);
}
