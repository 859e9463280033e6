// The way to the company's login and back. Tied to one browser and one waiting device; each answer is heard once.

import { hash } from "node:crypto";
import { type JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import type { Journal } from "../../audit/journal.ts";
import { type Company, type CompanyPerson, returnPath } from "../company.ts";
import type { CompanyAccounts } from "../company-accounts.ts";
import { Guesses } from "../guesses.ts";
import type { Artifacts } from "../oauth/artifacts.ts";
import type { PendingLogin } from "../oauth/device-logins.ts";
import { pageHeaders } from "./headers.ts";
import type { Sessions, Visitor } from "./sessions.ts";
import type { Templates } from "./templates.ts";

/** How long a person may take over there; as long as a device's code lives. */
const lifetimeMs = 10 * 60 * 1000;

const limits = {
  windowMs: 10 * 60 * 1000,
  startsPerAddress: 100,
  straysPerAddress: 20,
  overall: 1000,
};

export interface CompanyLogin {
  readonly company: Company;
  readonly accounts: CompanyAccounts;
  readonly artifacts: Artifacts;
}

export interface CompanyPagesOptions extends CompanyLogin {
  readonly sessions: Sessions;
  readonly journal: Pick<Journal, "record">;
  readonly templates: Templates;
  readonly clock: Clock;
  /** Gets why the provider failed, for the server's log. */
  readonly onError: (error: unknown) => void;
  /** Each answers by itself where it gives undefined. */
  readonly checkForm: Step<Visitor>;
  readonly visitorOf: (request: FastifyRequest, reply: FastifyReply) => Promise<Visitor>;
  readonly lookUp: Step<PendingLogin, [typed: string]>;
}

interface Counted extends CompanyPagesOptions {
  readonly starts: Guesses;
  /** SECURITY: what anybody can send would fill the audit; past the limit it is refused without a record. */
  readonly strays: Guesses;
}

type Step<Result, More extends unknown[] = []> = (
  request: FastifyRequest,
  reply: FastifyReply,
  ...more: More
) => Promise<Result | undefined>;

const startForm = z.object({ user_code: z.string().max(64) }).catch({ user_code: "" });
const answer = z.object({ state: z.string().max(64) }).catch({ state: "" });
const logoutForm = z.object({ logout_token: z.string() }).catch({ logout_token: "" });
const pending = z.object({
  nonce: z.string(),
  verifier: z.string(),
  code: z.string(),
  browser: z.string(),
  freshSince: z.number(),
});

/** Adds them to the scope of the pages. */
export function addCompanyPages(scope: FastifyInstance, given: CompanyPagesOptions): void {
  const { windowMs, overall } = limits;
  const counted = { windowMs, overall, perTarget: overall, onLock: () => {} };
  const starts = new Guesses(given.clock, { ...counted, perAddress: limits.startsPerAddress });
  const strays = new Guesses(given.clock, { ...counted, perAddress: limits.straysPerAddress });
  const options = { ...given, starts, strays };
  scope.post("/device/company", (request, reply) => start(options, request, reply));
  scope.get(returnPath, (request, reply) => comeBack(options, request, reply));
  scope.post("/oauth/company/logout", (request, reply) => logOut(options, request, reply));
}

async function start(
  options: Counted,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const visitor = await options.checkForm(request, reply);
  const typed = startForm.parse(request.body).user_code;
  const login = visitor && (await options.lookUp(request, reply, typed));
  if (visitor === undefined || login === undefined) {
    return reply;
  }
  if (!options.starts.take(request.ip)) {
    const page = options.templates.sorry("Too many tries", "Wait ten minutes, then try again.");
    reply.header("retry-after", limits.windowMs / 1000);
    return reply.code(429).headers(pageHeaders).send(page.toString());
  }
  try {
    const { url, question } = await options.company.ask(login.again);
    const { state, ...secrets } = question;
    const tied = { browser: fingerprint(visitor), code: login.userCode };
    const freshSince = login.again ? login.requestedAt : 0;
    const payload = { ...secrets, ...tied, freshSince };
    await options.artifacts.save("CompanyLogin", state, payload, lifetimeMs);
    // A page and not a redirect: the browser would hold redirects after a form against our form-action.
    return reply.headers(pageHeaders).send(options.templates.goToCompany(url.href).toString());
  } catch (error) {
    return refuse(options, request, reply, toJitdbError(error));
  }
}

async function comeBack(
  options: Counted,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { artifacts, sessions, company, accounts, templates } = options;
  const visitor = await options.visitorOf(request, reply);
  const { state } = answer.parse(request.query);
  const asked = await artifacts.find("CompanyLogin", state);
  const question = pending.safeParse(asked?.payload).data;
  // SECURITY: an answer that was fetched in another browser would log this one in as somebody else.
  const isOurs =
    question?.browser === fingerprint(visitor) && (asked?.expiresAt ?? 0) > options.clock.now();
  if (question === undefined || !isOurs || !(await artifacts.consume("CompanyLogin", state))) {
    return sayStray(options, request, reply);
  }
  try {
    const search = new URL(request.url, "http://localhost").search;
    const told = await company.hear(search, { ...question, state });
    const provenAt = provenSince(question.freshSince, told);
    if (provenAt < question.freshSince) {
      options.journal.record({
        kind: "login.failed",
        address: request.ip,
        reason: "The company did not ask anew who it is.",
      });
      const page = templates.sorry(
        "Your company did not ask you anew",
        "This login has to be a new one, and the company's login did not say that it was. Nothing was changed.",
        "Log out over there, then run jitdb login --again.",
      );
      return reply.code(403).headers(pageHeaders).send(page.toString());
    }
    const person = await accounts.welcome(told);
    await sessions.logOut(visitor);
    const cookie = await sessions.logIn(person, provenAt);
    reply.header("set-cookie", sessions.setCookie(cookie));
    const query = new URLSearchParams({ user_code: question.code });
    return reply.redirect(`/device?${query.toString()}`, 303);
  } catch (error) {
    return refuse(options, request, reply, toJitdbError(error));
  }
}

async function logOut(
  { company, accounts, journal, strays }: Counted,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  reply.header("cache-control", "no-store");
  const { logout_token } = logoutForm.parse(request.body);
  // What was wrong with it helps only who makes tokens up.
  const logout = await company.verifyLogout(logout_token).catch(() => undefined);
  if (logout === undefined || !(await accounts.logOut(logout, request.ip))) {
    if (strays.take(request.ip)) {
      const reason =
        "A logout token that is not the company's, was used, or cannot be verified now.";
      journal.record({ kind: "login.failed", address: request.ip, reason });
    }
    return reply.code(400).send({ error: "invalid_request" });
  }
  return reply.code(200).send();
}

function sayStray(
  { journal, templates, strays }: Counted,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const reason = "An answer of the company's login that nobody waits for in this browser.";
  if (strays.take(request.ip)) {
    journal.record({ kind: "login.failed", address: request.ip, reason });
  }
  const page = templates.sorry(
    "This login is over",
    "It was used, is older than ten minutes, or began in another browser. Nothing was changed.",
    "Open the link that your terminal shows, and log in from there.",
  );
  return reply.code(403).headers(pageHeaders).send(page.toString());
}

function refuse(
  { journal, templates, onError }: CompanyPagesOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  { message, hint, forms, cause }: JitdbError,
): FastifyReply {
  if (cause !== undefined) {
    onError(new Error(`${message} (${reasonsOf(cause).join(": ")})`));
  }
  journal.record({ kind: "login.failed", address: request.ip, reason: message });
  const page = templates.sorry("You are not logged in", `${message} Nothing was changed.`, hint);
  return reply.code(forms.http).headers(pageHeaders).send(page.toString());
}

/** SECURITY: sentences alone; what else the errors carry are answers, with codes and tokens. */
function reasonsOf(cause: unknown): string[] {
  return cause instanceof Error ? [cause.message, ...reasonsOf(cause.cause)].slice(0, 4) : [];
}

/** The company tells its time in whole seconds: a login in the second of the question counts as one behind it. */
function provenSince(freshSince: number, { provenAt }: CompanyPerson): number {
  const isSameSecond = Math.floor(provenAt / 1000) === Math.floor(freshSince / 1000);
  return isSameSecond ? Math.max(provenAt, freshSince) : provenAt;
}

function fingerprint({ cookie }: Visitor): string {
  return hash("sha256", cookie, "base64url");
}
