// How jitdb.yaml is written: one zod schema a section, unknown keys refused. Knows neither files nor line numbers (load.ts),
// and no message here repeats a value: the value may have come out of a secret file that was named in the wrong place.

import { isIP } from "node:net";
import { isAbsolute } from "node:path";
import { name } from "@jitdb/shared/api/wire";
import { parseDuration } from "@jitdb/shared/duration";
import { Secret } from "@jitdb/shared/secret";
import * as z from "zod";
import { caseOutcomes } from "../access/policies/cases.ts";
import { type HoursWindow, isLocalMoment, isZone, weekdays } from "../access/policies/hours.ts";
import { identitySchema } from "./identity.ts";
import { webhooksSchema } from "./webhooks.ts";

/** Values of `${env:…}` and `${file:…}` arrive as Secret; where the field is no secret, they count as plain text. */
const reveal = (value: unknown): unknown => (value instanceof Secret ? value.reveal() : value);

const line = z
  .string("must be a text.")
  .min(1, "must not be empty.")
  .max(300, "is longer than 300 characters.")
  .regex(/^\P{Cc}*$/u, "must be one line without control characters.");
const text = z.preprocess(reveal, line);

/** A PEM file: its path, or its content out of a reference. */
const pem = z.union([z.instanceof(Secret), line], "must be the path of a PEM file.");

const secret = z.instanceof(Secret, {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how references are written
  error: "a secret never stands in the configuration itself. Write ${file:path} or ${env:NAME}.",
});

function wholeNumber(what: string, min: number, max: number) {
  const rule = `${what} is a whole number from ${min} to ${max}.`;
  const toNumber = (value: unknown) => (value instanceof Secret ? Number(value.reveal()) : value);
  return z.preprocess(toNumber, z.int(rule).min(min, rule).max(max, rule));
}

/**
 * An object that refuses unknown keys. The message of an `unrecognized_keys` issue is the comma-separated list of the known
 * ones, out of which load.ts suggests the nearest.
 */
function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const known = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys" ? known : `must be a section with the keys: ${known}.`,
  });
}

function list<Item extends z.core.SomeType>(item: Item, what: string) {
  return z.array(item, `must be a list of ${what}, such as [a, b].`);
}

const port = wholeNumber("a port", 1, 65_535);

function oneOf<const T extends string>(values: readonly T[]) {
  return z.preprocess(reveal, z.enum(values, `must be one of: ${values.join(", ")}.`));
}

const durationMs = z.preprocess(
  reveal,
  line.transform((value, context) => {
    try {
      return parseDuration(value);
    } catch {
      // parseDuration quotes the text; ours must not.
      context.addIssue("must be a duration between 1s and 365d, such as 30m, 2h or 1h30m.");
      return z.NEVER;
    }
  }),
);

function durationWithin(leastSeconds: number, mostSeconds: number) {
  return durationMs.refine(
    (ms) => ms >= leastSeconds * 1000 && ms <= mostSeconds * 1000,
    `must be a duration between ${leastSeconds}s and ${mostSeconds}s.`,
  );
}

/** `[::1]:7480`, `127.0.0.1:7480`, `db.internal:7480`. */
const listen = z.preprocess(
  reveal,
  line.transform((value, context) => {
    const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+)):(\d{1,5})$/i.exec(value);
    const host = match?.[1] ?? match?.[2];
    const number = Number(match?.[3]);
    if (host === undefined || number < 1 || number > 65_535) {
      context.addIssue("must be an address and a port, such as 127.0.0.1:7480 or [::1]:7480.");
      return z.NEVER;
    }
    return { host, port: number };
  }),
);

const publicUrl = z.preprocess(
  reveal,
  line.transform((value, context) => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    const bare = url !== undefined && url.username === "" && url.pathname + url.search === "/";
    if (!bare || !["http:", "https:"].includes(url.protocol) || url.hash !== "") {
      context.addIssue("must be scheme, host and port alone, such as https://jitdb.example.com.");
      return z.NEVER;
    }
    return url.origin;
  }),
);

const addressRange = text.refine((value) => {
  const [address = "", bits, ...rest] = value.split("/");
  const family = isIP(address);
  const most = family === 4 ? 32 : 128;
  return family > 0 && rest.length === 0 && (bits === undefined || isPrefixLength(bits, most));
}, "must be an IP address or a range such as 10.0.0.0/8.");

function isPrefixLength(bits: string, most: number): boolean {
  return /^\d{1,3}$/.test(bits) && Number(bits) <= most;
}

const labels = z.record(name, text, "labels are names with texts, such as {env: production}.");

/** A PostgreSQL identifier of the user's choosing: it is quoted wherever it is used, so only length and NUL matter. */
const identifier = text.refine(
  (value) => Buffer.byteLength(value) <= 63,
  "is longer than 63 bytes.",
);

/** What stands at the top level; databases and policies are checked one by one, so that one's mistake hides no other's. */
export const rootSchema = section({
  listen: listen.default({ host: "127.0.0.1", port: 7480 }),
  publicUrl: publicUrl.optional(),
  tls: section({ cert: text, key: text }).optional(),
  trustedProxies: list(addressRange, "addresses").default([]),
  dataFolder: text.default("data"),
  masterKey: secret,
  installation: text
    .refine((value) => /^[a-z0-9]{1,5}$/.test(value), "must be 1 to 5 of a–z and 0–9.")
    .optional(),
  audit: z
    .strictObject({
      durability: oneOf(["write", "fsync"]).default("write"),
      maxTextBytes: wholeNumber("maxTextBytes", 262_144, 1_073_741_824).default(16_777_216),
    })
    .default({ durability: "write", maxTextBytes: 16_777_216 }),
  devices: z
    .strictObject({ confirm: oneOf(["approval", "loopback"]).default("approval") })
    .default({ confirm: "approval" }),
  tunnel: section({
    ping: durationWithin(1, 60).default(5000),
    silence: durationWithin(1, 600).default(10_000),
    park: durationWithin(1, 3600).default(120_000),
    parkBusy: durationWithin(1, 3600).default(30_000),
  }).default({ ping: 5000, silence: 10_000, park: 120_000, parkBusy: 30_000 }),
  identity: identitySchema,
  webhooks: webhooksSchema,
  databases: z.unknown().optional(),
  policies: z.unknown().optional(),
  tests: z.unknown().optional(),
});
export type RootInput = z.infer<typeof rootSchema>;

export const builtInProfiles = ["read-only", "read-write", "admin"] as const;

const profile = section({
  description: text.optional(),
  privileges: oneOf(builtInProfiles).optional(),
  group: identifier.optional(),
  schemas: list(identifier, "schemas").min(1, "must name at least one schema.").optional(),
  allowPrivileges: list(identifier, "roles").default([]),
  leftovers: oneOf(["keep", "drop"]).default("keep"),
});
export type ProfileInput = z.infer<typeof profile>;

export const databaseSchema = section({
  engine: oneOf(["postgres"]).default("postgres"),
  host: text.refine(
    (value) =>
      isAbsolute(value) || /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(value) || isIP(value) > 0,
    "must be a host name, an address, or the absolute path of a socket folder.",
  ),
  port: port.default(5432),
  database: identifier,
  tls: section({
    mode: oneOf(["disable", "require", "verify-ca", "verify-full"]).default("verify-full"),
    ca: pem.optional(),
    cert: pem.optional(),
    key: pem.optional(),
  }).optional(),
  login: section({
    allow: list(oneOf(["md5", "password", "certificate"]), "methods").default([]),
  }).default({
    allow: [],
  }),
  admin: section({ user: identifier.default("jitdb_admin"), password: secret }),
  labels: labels.default({}),
  schemas: list(identifier, "schemas").min(1, "must name at least one schema.").default(["public"]),
  // `read-only:` with nothing behind it is null in YAML, and means "as built in".
  profiles: z
    .record(
      name,
      z.preprocess((value) => value ?? {}, profile),
    )
    .default({ "read-only": emptyProfile(), "read-write": emptyProfile() }),
  maxConnections: wholeNumber("maxConnections", 1, 10_000).optional(),
  spareSessions: z.boolean("must be true or false.").default(true),
});
export type DatabaseInput = z.infer<typeof databaseSchema>;

function emptyProfile(): ProfileInput {
  return { allowPrivileges: [], leftovers: "keep" };
}

const glob = text.refine(
  (value) => /^[a-z0-9._*?{},[\]^-]+$/.test(value),
  "must be a name or a pattern such as prod-*.",
);

/** Nothing but the disabling of a person cuts a drain short. */
const maxDrainMs = 600_000;

const approvers = {
  count: wholeNumber("count", 1, 10).default(1),
  groups: list(name, "groups").min(1, "must name at least one group."),
};

const approval = z.union(
  [
    z.literal("automatic"),
    section(approvers),
    section({
      stages: list(section({ name: name.optional(), ...approvers }), "stages")
        .min(1, "must name at least one stage.")
        .max(10, "must be at most 10 stages."),
    }),
  ],
  "must be automatic, or who approves, such as {count: 1, groups: [admins]} or {stages: [{groups: [leads]}, {groups: [dba]}]}.",
);
export type ApprovalInput = z.infer<typeof approval>;

/** Of each week, or, where `from` and `to` are dates with times, once. */
const hoursWindow = section({
  days: list(oneOf(weekdays), "days").min(1, "must name at least one day.").optional(),
  from: text.refine(
    (value) => (isTime(value) && value !== "24:00") || isLocalMoment(value),
    "must be a time, such as 08:00, or a date with one, such as 2026-12-05 22:00.",
  ),
  to: text.refine(
    (value) => isTime(value) || isLocalMoment(value),
    "must be a time, such as 18:00, or a date with one, such as 2026-12-06 04:00.",
  ),
  zone: text.refine(isZone, "is no time zone. Write one such as Europe/Berlin or UTC."),
})
  .refine(
    ({ from, to }) => isTime(from) === isTime(to),
    "must have two times of day, or two dates with times.",
  )
  .refine(
    ({ days, from }) => days === undefined || isTime(from),
    "has days, which a window of one date can't have.",
  )
  .refine(({ from, to }) => isTime(from) || from < to, "must end later than it begins.")
  .transform(
    ({ days = [...weekdays], from, to, zone }): HoursWindow =>
      isTime(from) ? { days, from, to, zone } : { from, to, zone },
  );

function isTime(value: string): boolean {
  return /^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/.test(value);
}

function isPattern(value: string): boolean {
  try {
    return new RegExp(value, "u").source !== "";
  } catch {
    // A SyntaxError is the answer.
    return false;
  }
}

export const policySchema = section({
  name,
  who: z
    .strictObject({
      groups: list(name, "groups").default([]),
      people: list(name, "names").default([]),
      services: list(name, "services").default([]),
    })
    .refine(
      (who) => who.groups.length + who.people.length + who.services.length > 0,
      "nobody is named. Name a group, a person or a service, such as {groups: [developers]}.",
    ),
  databases: list(glob, "databases").min(1, "must name at least one database.").default(["*"]),
  labels: labels.optional(),
  profiles: list(glob, "profiles").min(1, "must name at least one profile."),
  maxDuration: durationMs,
  defaultDuration: durationMs.optional(),
  approval,
  requestLifetime: durationMs.default(86_400_000),
  reasonRequired: z.boolean("must be true or false.").default(false),
  reason: section({
    required: z.boolean("must be true or false.").default(true),
    pattern: text.refine(isPattern, "is no regular expression.").optional(),
  }).optional(),
  when: text.optional(),
  hours: list(hoursWindow, "windows").min(1, "must name at least one window.").optional(),
  end: section({
    drain: durationMs.refine((ms) => ms <= maxDrainMs, "must be at most 10m."),
  }).optional(),
  extend: section({
    times: wholeNumber("times", 1, 100).default(1),
    by: durationMs,
    approval: approval.default("automatic"),
  }).optional(),
  perDay: section({
    grants: wholeNumber("grants", 1, 1000).optional(),
    time: durationMs.optional(),
  }).optional(),
  stepUp: durationMs.optional(),
  breakGlass: section({
    review: section({
      groups: list(name, "groups").min(1, "must name at least one group."),
      within: durationMs.default(86_400_000),
    }),
  }).optional(),
});
export type PolicyInput = z.infer<typeof policySchema>;

const instantMs = z.preprocess(
  reveal,
  line.transform((value, context) => {
    const at = /T.*(?:Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : Number.NaN;
    if (Number.isNaN(at)) {
      context.addIssue("must be a moment with its zone, such as 2026-11-24T22:00:00Z.");
      return z.NEVER;
    }
    return at;
  }),
);

const recentUse = section({
  grants: wholeNumber("grants", 0, 100_000).default(0),
  minutes: wholeNumber("minutes", 0, 1_000_000).default(0),
});
const recentSpans = section({ day: recentUse.optional(), week: recentUse.optional() });
const recentCase = section({ here: recentSpans.optional(), anywhere: recentSpans.optional() });
export type RecentInput = z.infer<typeof recentCase>;

/** One of `tests:`: a request, and what the policies have to say to it. */
export const caseSchema = section({
  name: text.optional(),
  given: section({
    person: name.optional(),
    service: name.optional(),
    groups: list(name, "groups").default([]),
    database: text.optional(),
    labels: labels.optional(),
    profile: text,
    for: durationMs.optional(),
    reason: text.default(""),
    at: instantMs.optional(),
    device: oneOf(["confirmed", "new"]).default("confirmed"),
    deviceId: text.default(""),
    recent: recentCase.optional(),
    breakGlass: z.boolean("must be true or false.").default(false),
  })
    .refine(
      ({ person, service }) => (person === undefined) !== (service === undefined),
      "must name either a person or a service.",
    )
    .refine(
      ({ database, labels: wanted }) => (database === undefined) !== (wanted === undefined),
      "must name either a database or labels.",
    ),
  expect: section({
    outcome: oneOf(caseOutcomes),
    rule: text.optional(),
    approvers: list(section(approvers), "stages").optional(),
    maxDuration: durationMs.optional(),
  }),
});
export type CaseInput = z.infer<typeof caseSchema>;

/** The parts of a policy that refer to something else, read from any value: what does not fit is left out, as policySchema reports it. */
const texts = z.array(z.string().catch("")).catch([]);
export const policyOutline = z
  .object({
    name: z.string().catch(""),
    databases: texts,
    profiles: texts,
    who: z.object({ people: texts, services: texts }).catch({ people: [], services: [] }),
  })
  .catch({ name: "", databases: [], profiles: [], who: { people: [], services: [] } });
export type PolicyOutline = z.infer<typeof policyOutline>;
