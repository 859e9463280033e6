// What a failed connection means to a person.

import { JitdbError } from "@jitdb/shared/errors";

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection was cut",
  EPIPE: "the connection was cut",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name can't be looked up",
  EHOSTUNREACH: "no way to that host",
  ENETUNREACH: "no network",
  ETIMEDOUT: "no answer in time",
  TimeoutError: "no answer in time",
  EPROTO: "it does not speak TLS",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "it does not speak TLS",
};

/** What is wrong with a certificate, where a CA file would not help: reason and hint. */
const certificateReasons: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  CERT_HAS_EXPIRED: [
    "it has expired",
    "Check this machine's clock; if it is right, the server's operator has to renew the certificate.",
  ],
  CERT_NOT_YET_VALID: ["it is not valid yet", "Check this machine's clock."],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    "it is for another name",
    "Use the address that the server calls its publicUrl.",
  ],
};

/** Codes of OpenSSL's certificate verification, as node reports them. */
const certificateCode =
  /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH)/;

/** A thrown value of a connection attempt to `server` as one of our errors; ours pass as they are. */
export function toConnectionError(thrown: unknown, server: string): JitdbError {
  const ours = causes(thrown).find((cause) => cause instanceof JitdbError);
  if (ours !== undefined) {
    return ours;
  }
  const codes = causes(thrown).map(codeOf);
  const certificate = codes.find((code) => certificateCode.test(code));
  if (certificate !== undefined) {
    return untrusted(server, certificate, thrown);
  }
  if (codes.some((code) => code.startsWith("HPE_") || code === "HTTPParserError")) {
    return new JitdbError("server.unsuitable", `${server} does not speak HTTP.`, { cause: thrown });
  }
  const reason = codes.map((code) => reasons[code]).find((text) => text !== undefined);
  const detail = reason ?? codes.find((code) => code !== "Error") ?? "the connection failed";
  return new JitdbError("server.unreachable", `Can't reach ${server}: ${detail}.`, {
    cause: thrown,
  });
}

function untrusted(server: string, code: string, cause: unknown): JitdbError {
  const message = `The certificate of ${server} can't be trusted`;
  const [reason, hint] = certificateReasons[code] ?? [];
  return new JitdbError("server.certificate", `${message}: ${reason ?? code}.`, { hint, cause });
}

/** The error, its causes, and what an AggregateError (one failure for each address of a host) holds. */
function causes(thrown: unknown): Error[] {
  if (!(thrown instanceof Error)) {
    return [];
  }
  const inner = thrown instanceof AggregateError ? thrown.errors.flatMap(causes) : [];
  return [...inner, ...causes(thrown.cause), thrown];
}

function codeOf(error: Error): string {
  const code = "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : error.name;
}
