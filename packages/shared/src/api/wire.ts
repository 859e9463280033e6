// What every answer of the API is made of. Times are ISO 8601 in UTC with milliseconds; durations are whole seconds.

import * as z from "zod";

export const instant = z.iso.datetime();

/** The catalogue's form of an error over HTTP. */
export const apiError = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string(),
    /** Names the request in the server's log. */
    requestId: z.string().optional(),
  }),
});
export type ApiError = z.infer<typeof apiError>;

/** A name of a database, profile, group, policy or person: what goes into terminals and SQL comments without quoting. */
export const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,62}$/,
    "lower-case letters, digits, '.', '_' and '-', at most 63, starting with a letter or digit",
  );

/** Free text of a person: one line that can forge neither a terminal nor a record, nor read as other than it is written. */
export const sentence = z
  .string()
  .max(500)
  .regex(
    /^[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u,
    "one line without control characters",
  );

/** A body that may be left out altogether: then it counts as an empty one. */
export function optionalBody<Body extends z.ZodType>(body: Body) {
  return z.preprocess((given) => given ?? {}, body);
}

export const page = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(50),
  /** Opaque; the answer's `next` of the page before. */
  after: z.string().max(200).optional(),
});
