// The `identity:` section: the company's login, and the services that may ask for access. As it is written, and
// as the rest of the server sees it.

import { name } from "@jitdb/shared/api/wire";
import { Secret } from "@jitdb/shared/secret";
import * as z from "zod";

const line = z.string("must be a text.").min(1, "must not be empty.").max(300, "is too long.");

const issuer = line.refine((value) => {
  const url = URL.parse(value);
  const local = url !== null && ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  // SECURITY: whoever can change the keys on their way here can log in as anybody.
  return url !== null && (url.protocol === "https:" || (url.protocol === "http:" && local));
}, "must be an https:// address, exactly as the identity provider calls itself.");

/** A claim's value, compared as it is: no patterns, which are written too wide too easily. */
const claims = z
  .record(line, line)
  .refine(
    (value) => Object.keys(value).length > 0,
    "must name at least one claim, such as {sub: …}.",
  );

const publicKey = z
  .looseObject({ kty: z.enum(["EC", "OKP", "RSA"]) })
  .refine((key) => !("d" in key), "is a private key; only the public half belongs here.");

const service = z
  .strictObject({
    keys: z.array(publicKey).min(1).max(10).optional(),
    tokens: z.strictObject({ issuer, audience: line, claims }).optional(),
  })
  .refine(
    ({ keys, tokens }) => (keys === undefined) !== (tokens === undefined),
    "must have either keys (public JWKs), or tokens: {issuer, audience, claims}.",
  );

const company = z.strictObject({
  issuer,
  clientId: line,
  clientSecret: z.instanceof(Secret, {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how references are written
    error: "never stands in the configuration itself. Write ${file:path} or ${env:NAME}.",
  }),
  scopes: z
    .array(line)
    .refine((scopes) => scopes.includes("openid"), "must contain openid.")
    .default(["openid", "profile"]),
  /** What a new account is called. */
  nameClaim: line.default("preferred_username"),
  groupsClaim: line.default("groups"),
  /** Groups over there, and what they are here; others count for nothing. */
  groups: z.record(line, name),
  requiredGroup: line.optional(),
  button: line.default("Log in with your company"),
});

/** Client ids that mean something else. */
const reserved = ["jitdb-cli"];

export const identitySchema = z
  .strictObject({
    company: company.optional(),
    services: z
      .record(
        name.refine((value) => !reserved.includes(value), "is taken."),
        service,
      )
      .default({}),
  })
  .default({ services: {} });

export type CompanyConfig = z.infer<typeof company>;
export type ServiceConfig = z.infer<typeof service>;
export type IdentityConfig = z.infer<typeof identitySchema>;
