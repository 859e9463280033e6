// The verification and set-up pages: which page follows which request. Every change is a POST with the form's token,
// answered by a redirect, so that reloading and going back change nothing.

import formbody from "@fastify/formbody";
import { name as nameSchema } from "@jitdb/shared/api/wire";
import { toJitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import { Secret } from "@jitdb/shared/secret";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import type { Journal } from "../../audit/journal.ts";
import { Guesses } from "../guesses.ts";
import type { DeviceLogins, PendingLogin } from "../oauth/device-logins.ts";
import type { People, Person } from "../people.ts";
import { addCompanyPages, type CompanyLogin } from "./company.ts";
import { assetHeaders, pageHeaders } from "./headers.ts";
import type { Html } from "./html.ts";
import type { Sessions, Visitor } from "./sessions.ts";
import { icon, iconPath, stylePath, styleSheet } from "./style.ts";
import { Templates } from "./templates.ts";

const guessLimits = {
  windowMs: 10 * 60 * 1000,
  codesPerAddress: 20,
  passwordsPerAddress: 20,
  passwordsPerName: 20,
  overall: 1000,
} as const;

const maxFormBytes = 16 * 1024;

export interface PagesOptions {
  readonly people: People;
  readonly deviceLogins: DeviceLogins;
  readonly sessions: Sessions;
  readonly journal: Pick<Journal, "record">;
  readonly clock: Clock;
  readonly publicUrl: string;
  readonly onError: (error: unknown) => void;
  /** Undefined: only local accounts log in. */
  readonly companyLogin: CompanyLogin | undefined;
  readonly companyButton: string | undefined;
}

/** Adds the pages to a fastify scope of their own. */
export function addPages(scope: FastifyInstance, options: PagesOptions): void {
  const pages = new Pages(options);
  scope.removeAllContentTypeParsers();
  scope.register(formbody, { bodyLimit: maxFormBytes });
  scope.get(stylePath, (_request, reply) =>
    reply.headers(assetHeaders("text/css; charset=utf-8")).send(styleSheet),
  );
  scope.get(iconPath, (_request, reply) => reply.headers(assetHeaders("image/svg+xml")).send(icon));
  scope.get("/device", (request, reply) => pages.showDevice(request, reply));
  scope.post("/device/login", (request, reply) => pages.logIn(request, reply));
  scope.post("/device/decide", (request, reply) => pages.decide(request, reply));
  scope.post("/device/log-out", (request, reply) => pages.logOut(request, reply));
  scope.get("/device/approved", (_request, reply) => pages.showOutcome(reply, "approved"));
  scope.get("/device/denied", (_request, reply) => pages.showOutcome(reply, "denied"));
  scope.get("/setup/:token", (request, reply) => pages.showSetup(request, reply));
  scope.post("/setup/:token", (request, reply) => pages.setUp(request, reply));
  if (options.companyLogin !== undefined) {
    addCompanyPages(scope, { ...options, ...options.companyLogin, ...pages.steps });
  }
}

/** A field that a browser always sends once; anything else counts as left empty. */
const field = z.string().max(2048).catch("");
/** Its length is for the password rules to judge; the body has a limit. */
const passwordField = z.string().catch("");
const codeForm = z.object({ user_code: field }).catch({ user_code: "" });
const loginForm = z.object({ user_code: field, name: field, password: passwordField });
const decisionForm = z.object({ user_code: field, decision: z.enum(["approve", "deny"]) });
const setupForm = z.object({ password: passwordField, repeat: passwordField });
const setupParams = z.object({ token: field });
const formToken = z.object({ form_token: field }).catch({ form_token: "" });

class Pages {
  readonly #options: PagesOptions;
  readonly #templates: Templates;
  readonly #codes: Guesses;
  readonly #passwords: Guesses;

  constructor(options: PagesOptions) {
    this.#options = options;
    this.#templates = new Templates(options.publicUrl, options.companyButton);
    const { clock } = options;
    const { windowMs, overall } = guessLimits;
    this.#codes = new Guesses(clock, {
      windowMs,
      overall,
      perAddress: guessLimits.codesPerAddress,
      perTarget: overall,
      onLock: (by, address) => this.#recordLock("codes", by, address),
    });
    this.#passwords = new Guesses(clock, {
      windowMs,
      overall,
      perAddress: guessLimits.passwordsPerAddress,
      perTarget: guessLimits.passwordsPerName,
      onLock: (by, address) => this.#recordLock("passwords", by, address),
    });
  }

  /** What the company's pages have in common with these. */
  get steps() {
    return {
      templates: this.#templates,
      checkForm: this.#checkForm.bind(this),
      visitorOf: this.#visitorOf.bind(this),
      lookUp: this.#lookUp.bind(this),
    };
  }

  async showDevice(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const typed = codeForm.parse(request.query).user_code;
    if (typed === "") {
      return send(reply, 200, this.#templates.enterCode());
    }
    const login = await this.#lookUp(request, reply, typed);
    if (login === undefined) {
      return reply;
    }
    const visitor = await this.#visitorOf(request, reply);
    return visitor.person === undefined || isStale(visitor, login)
      ? this.#askPassword(reply, 200, visitor, { userCode: login.userCode, name: "" })
      : this.#askDecision(reply, visitor, visitor.person, login);
  }

  async logIn(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const visitor = await this.#checkForm(request, reply);
    if (visitor === undefined) {
      return reply;
    }
    const { user_code, name: typed, password } = loginForm.parse(request.body);
    // SECURITY: only with a code that lives can passwords be tried.
    const login = await this.#lookUp(request, reply, user_code);
    if (login === undefined) {
      return reply;
    }
    const name = typed.trim().toLowerCase();
    const view = { userCode: login.userCode, name };
    if (!this.#passwords.take(request.ip, name)) {
      return this.#askPassword(limit(reply, this.#passwords.waitMs), 429, visitor, {
        ...view,
        problem: `Too many tries. ${waitSentence(this.#passwords.waitMs)}`,
      });
    }
    const person = await this.#options.people.verifyPassword(name, new Secret(password));
    if (person === undefined) {
      this.#recordFailure(name, request.ip);
      return this.#askPassword(reply, 403, visitor, {
        ...view,
        problem: "Name and password do not match.",
      });
    }
    this.#passwords.giveBack(request.ip, name);
    const { sessions } = this.#options;
    await sessions.logOut(visitor);
    reply.header("set-cookie", sessions.setCookie(await sessions.logIn(person)));
    return reply.redirect(deviceUrl(login.userCode), 303);
  }

  async decide(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const visitor = await this.#checkForm(request, reply);
    if (visitor === undefined) {
      return reply;
    }
    const form = decisionForm.safeParse(request.body);
    const login = await this.#lookUp(request, reply, codeForm.parse(request.body).user_code);
    if (login === undefined) {
      return reply;
    }
    const { person } = visitor;
    if (person === undefined || isStale(visitor, login) || !form.success) {
      return reply.redirect(deviceUrl(login.userCode), 303);
    }
    const { deviceLogins } = this.#options;
    const { decision } = form.data;
    const done =
      decision === "approve"
        ? await deviceLogins.approve(login.userCode, person, visitor.provenAt)
        : await deviceLogins.deny(login.userCode, person, request.ip);
    if (!done) {
      return this.#sayOver(reply, "decided");
    }
    return reply.redirect(decision === "approve" ? "/device/approved" : "/device/denied", 303);
  }

  async logOut(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const visitor = await this.#checkForm(request, reply);
    if (visitor === undefined) {
      return reply;
    }
    await this.#options.sessions.logOut(visitor);
    return reply.redirect(deviceUrl(codeForm.parse(request.body).user_code), 303);
  }

  showOutcome(reply: FastifyReply, outcome: "approved" | "denied"): FastifyReply {
    return send(reply, 200, this.#templates[outcome]());
  }

  async showSetup(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { token } = setupParams.parse(request.params);
    const owner = await this.#options.people.linkOwner(new Secret(token));
    if (owner === undefined) {
      return this.#sayLinkOver(reply);
    }
    const visitor = await this.#visitorOf(request, reply);
    return this.#askNewPassword(reply, 200, visitor, owner, token);
  }

  async setUp(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const visitor = await this.#checkForm(request, reply);
    if (visitor === undefined) {
      return reply;
    }
    const { token } = setupParams.parse(request.params);
    const { password, repeat } = setupForm.parse(request.body);
    const { people } = this.#options;
    const owner = await people.linkOwner(new Secret(token));
    if (owner === undefined) {
      return this.#sayLinkOver(reply);
    }
    if (password !== repeat) {
      const problem = "The two passwords are not the same.";
      return this.#askNewPassword(reply, 400, visitor, owner, token, problem);
    }
    try {
      const person = await people.useLink(new Secret(token), new Secret(password), request.ip);
      return person === undefined
        ? this.#sayLinkOver(reply)
        : send(reply, 200, this.#templates.passwordSet(person.name));
    } catch (error) {
      const { code, message } = toJitdbError(error);
      if (code !== "usage.invalid") {
        throw error;
      }
      return this.#askNewPassword(reply, 400, visitor, owner, token, message);
    }
  }

  /** The login behind a code. Undefined: the reply has been sent. */
  async #lookUp(
    request: FastifyRequest,
    reply: FastifyReply,
    typed: string,
  ): Promise<PendingLogin | undefined> {
    if (!this.#codes.take(request.ip)) {
      const page = this.#templates.sorry("Too many tries", waitSentence(this.#codes.waitMs));
      send(limit(reply, this.#codes.waitMs), 429, page);
      return undefined;
    }
    const lookup = await this.#options.deviceLogins.find(typed);
    if (lookup.state === "unknown") {
      const problem = "No device is waiting with this code. Check it and try again.";
      send(reply, 404, this.#templates.enterCode(problem));
      return undefined;
    }
    this.#codes.giveBack(request.ip);
    if (lookup.state !== "pending") {
      this.#sayOver(reply, lookup.state);
      return undefined;
    }
    return lookup.login;
  }

  #askPassword(
    reply: FastifyReply,
    status: number,
    visitor: Visitor,
    view: { userCode: string; name: string; problem?: string },
  ): FastifyReply {
    const token = this.#options.sessions.formToken(visitor.cookie);
    return send(reply, status, this.#templates.logIn({ ...view, formToken: token }));
  }

  #askDecision(
    reply: FastifyReply,
    visitor: Visitor,
    person: Person,
    login: PendingLogin,
  ): FastifyReply {
    const { sessions, clock } = this.#options;
    const page = this.#templates.confirm({
      ...login,
      person: person.name,
      formToken: sessions.formToken(visitor.cookie),
      now: clock.now(),
    });
    return send(reply, 200, page);
  }

  #askNewPassword(
    reply: FastifyReply,
    status: number,
    visitor: Visitor,
    owner: Person,
    token: string,
    problem?: string,
  ): FastifyReply {
    const page = this.#templates.choosePassword({
      person: owner.name,
      token,
      formToken: this.#options.sessions.formToken(visitor.cookie),
      ...(problem !== undefined && { problem }),
    });
    return send(reply, status, page);
  }

  #sayOver(reply: FastifyReply, state: "expired" | "decided"): FastifyReply {
    const [title, sentence] =
      state === "expired"
        ? ["This code has expired", "A code is good for ten minutes."]
        : ["This code was used", "A code works once."];
    const next = "Run jitdb login again in your terminal for a new one.";
    return send(reply, 410, this.#templates.sorry(title, `${sentence} ${next}`));
  }

  #sayLinkOver(reply: FastifyReply): FastifyReply {
    const page = this.#templates.sorry(
      "This link no longer works",
      "A set-up link works once, for 24 hours. If you have set your password with it, all is well.",
      "If not, ask an administrator for a new link.",
    );
    return send(reply, 410, page);
  }

  /** Who sent a form of ours. Undefined: it was not ours, and the reply has been sent. */
  async #checkForm(request: FastifyRequest, reply: FastifyReply): Promise<Visitor | undefined> {
    const visitor = await this.#visitorOf(request, reply);
    const { form_token } = formToken.parse(request.body);
    const site = request.headers["sec-fetch-site"];
    // SECURITY: another site may send a form here with this browser's cookies; it can't know the token.
    const ours = site === undefined || site === "same-origin";
    if (ours && this.#options.sessions.isFormToken(visitor.cookie, form_token)) {
      return visitor;
    }
    const page = this.#templates.sorry(
      "This page is too old",
      "Nothing was changed. Go back, reload the page and try again; cookies have to be allowed.",
    );
    send(reply, 403, page);
    return undefined;
  }

  async #visitorOf(request: FastifyRequest, reply: FastifyReply): Promise<Visitor> {
    const { sessions } = this.#options;
    const visitor = await sessions.visitor(request.headers.cookie);
    if (visitor.fresh) {
      reply.header("set-cookie", sessions.setCookie(visitor.cookie));
    }
    return visitor;
  }

  #recordFailure(typed: string, address: string): void {
    // What was typed is kept only if it can be a name: some people type their password there.
    const name = nameSchema.safeParse(typed).data;
    const reason = "Name and password do not match.";
    this.#options.journal.record({ kind: "login.failed", address, reason, ...(name && { name }) });
  }

  #recordLock(what: string, by: keyof typeof origins, address: string): void {
    const reason = `Too many wrong ${what} ${origins[by]}.`;
    this.#options.journal.record({ kind: "login.failed", address, reason });
  }
}

/** SECURITY: where a login is to be anew, what the browser still knows from before counts for nothing. */
function isStale({ provenAt }: Visitor, { again, requestedAt }: PendingLogin): boolean {
  return again && provenAt < requestedAt;
}

/** How the audit says which limit was reached. */
const origins = {
  address: "from this address",
  target: "for one name",
  overall: "from everywhere",
} as const;

function send(reply: FastifyReply, status: number, page: Html): FastifyReply {
  return reply.code(status).headers(pageHeaders).send(page.toString());
}

function limit(reply: FastifyReply, waitMs: number): FastifyReply {
  return reply.header("retry-after", Math.ceil(waitMs / 1000));
}

function waitSentence(waitMs: number): string {
  const minutes = Math.max(1, Math.ceil(waitMs / 60_000));
  return minutes === 1
    ? "Wait a minute, then try again."
    : `Wait ${minutes} minutes, then try again.`;
}

function deviceUrl(userCode: string): string {
  return `/device?${new URLSearchParams({ user_code: userCode }).toString()}`;
}
