// What an error of the authorization server, or of the library that reads its answers, means to a person.

import { type ErrorCode, JitdbError } from "@jitdb/shared/errors";
import * as oauth from "oauth4webapi";
import * as z from "zod";
import { describeSkew } from "../api-error.ts";
import { clean } from "../text.ts";

/** RFC 6749 §5.2, RFC 8628 §3.5, RFC 9449 §5: the error's name to our code and words. */
const meanings: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  access_denied: ["login.denied", "The login was denied in the browser."],
  expired_token: ["login.expired", "The code's time is over."],
  invalid_grant: ["login.expired", "The login is over: it was ended, or not used for too long."],
  invalid_dpop_proof: ["login.proof", "The server does not accept this device's proof."],
};

/** What the library throws where the issuer has another name than the one that it was asked by (RFC 8414 §3.3). */
const claimedIssuer = z.object({
  cause: z.object({ attribute: z.literal("issuer"), body: z.object({ issuer: z.string() }) }),
});

/** A thrown value of an OAuth call as one of ours. The original stays as its cause; ours pass as they are. */
export function toOAuthError(thrown: unknown, server: string, now: number): JitdbError {
  if (thrown instanceof JitdbError) {
    return thrown;
  }
  if (!(thrown instanceof oauth.ResponseBodyError)) {
    const ownName = claimedIssuer.safeParse(thrown).data?.cause.body.issuer;
    return new JitdbError(
      "server.unsuitable",
      ownName === undefined
        ? `${server} does not answer as a jitdb server would.`
        : `The server at ${server} calls itself ${clean(ownName)}.`,
      {
        hint:
          ownName === undefined
            ? undefined
            : `Use that address: \`jitdb login ${clean(ownName)}\`.`,
        cause: thrown,
      },
    );
  }
  if (thrown.status === 429) {
    return new JitdbError("login.rate_limited", `${server} wants fewer logins at once.`, {
      cause: thrown,
    });
  }
  const [code, message] = meanings[thrown.error] ?? [
    "server.unsuitable",
    `${server} refuses: ${thrown.error_description ?? thrown.error}.`,
  ];
  const date = thrown.response.headers.get("date") ?? undefined;
  const skew = code === "login.proof" ? describeSkew(date, now) : undefined;
  return new JitdbError(code, skew === undefined ? message : `${message} ${skew}`, {
    cause: thrown,
  });
}
