// The `identity:` section: the services that may ask for access. As it is written, and
// as the rest of the server sees it.

import { name } from "@jitdb/shared/api/wire";
import { z } from "zod";

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

/** Client ids that mean something else. */
const reserved = ["jitdb-cli"];

export const identitySchema = z
  .strictObject({
    services: z
      .record(
        name.refine((value) => !reserved.includes(value), "is taken."),
        service,
      )
      .default({}),
  })
  .default({ services: {} });

export type ServiceConfig = z.infer<typeof service>;
export type IdentityConfig = z.infer<typeof identitySchema>;
