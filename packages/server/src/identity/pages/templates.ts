// What people see when they log in: one function a page. Works without scripts, pictures and colours.

import { passwordLimits } from "../passwords.ts";
import { type Html, html } from "./html.ts";
import { iconPath, stylePath } from "./style.ts";

/** What every form sends along: the proof that it was served to this browser. */
export interface FormContext {
  readonly formToken: string;
}

export interface ConfirmView extends FormContext {
  readonly person: string;
  readonly userCode: string;
  readonly label: string;
  readonly address: string;
  /** Epoch milliseconds. */
  readonly requestedAt: number;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** All pages of one server. */
export class Templates {
  readonly #publicUrl: string;
  readonly #companyButton: string | undefined;

  constructor(publicUrl: string, companyButton?: string) {
    this.#publicUrl = publicUrl;
    this.#companyButton = companyButton;
  }

  /** Asks for the code that the terminal shows. */
  enterCode(problem?: string): Html {
    return this.#page(
      "Log in",
      html`<h1>Log in to jitdb</h1>
<p class="lead">Enter the code that your terminal shows.</p>
${notice(problem)}<form method="get" action="/device">
<label for="user_code">Code</label>
<input class="code" id="user_code" name="user_code" placeholder="XXXX-XXXX" required autofocus maxlength="20" autocomplete="off" autocapitalize="characters" spellcheck="false">
<button>Continue</button>
</form>
<div class="foot">No code yet? Run this in a terminal:
<pre><code>jitdb login ${this.#publicUrl}</code></pre></div>`,
    );
  }

  /** Asks who is there, before anything about the device is shown. */
  logIn(view: FormContext & { userCode: string; name: string; problem?: string }): Html {
    const nameFirst = view.name === "";
    return this.#page(
      "Who are you?",
      html`<h1>Who are you?</h1>
<p class="lead">Log in to go on with code <b>${view.userCode}</b>.</p>
${notice(view.problem)}<form method="post" action="/device/login">
${hidden(view)}<input type="hidden" name="user_code" value="${view.userCode}">
<label for="name">Name</label>
<input id="name" name="name" value="${view.name}" required ${attribute("autofocus", nameFirst)} maxlength="63" autocomplete="username" autocapitalize="none" spellcheck="false">
<label for="password">Password</label>
<input id="password" name="password" type="password" required ${attribute("autofocus", !nameFirst)} autocomplete="current-password">
<button>Log in</button>
</form>
${this.#company(view)}<p class="foot">No account, or no password any more? An administrator of this server can give you a set-up link.</p>`,
    );
  }

  /** Sends the browser on to the company's login, without a script. */
  goToCompany(url: string): Html {
    return this.#page(
      "Going on to your company",
      html`<meta http-equiv="refresh" content="0; url=${url}"><h1>Going on to your company</h1>
<p class="lead"><a href="${url}">Go on by hand</a> if nothing happens.</p>`,
    );
  }

  /** Shows who asks, and from where; nothing happens without a click. */
  confirm(view: ConfirmView): Html {
    return this.#page(
      "Let this device in?",
      html`<h1>Let this device in?</h1>
<p class="lead">It will act as <b>${view.person}</b> until it is logged out.</p>
<div class="shown"><span>Your terminal must show this code</span><strong>${view.userCode}</strong></div>
<dl>
<div><dt>Program</dt><dd>jitdb command line</dd></div>
<div><dt>Device</dt><dd>${view.label}</dd></div>
<div><dt>Address</dt><dd>${view.address}</dd></div>
<div><dt>Asked</dt><dd>${formatTime(view.requestedAt)} <small>(${formatAge(view.now - view.requestedAt)})</small></dd></div>
</dl>
<p class="notice plain"><b>Did somebody send you this code or link?</b> Then say no: they would be logged in with your name.</p>
<form method="post" action="/device/decide">
${hidden(view)}<input type="hidden" name="user_code" value="${view.userCode}">
<button name="decision" value="approve">Yes, let it in</button>
<button class="no" name="decision" value="deny">No, turn it away</button>
</form>
<div class="foot">Logged in here as ${view.person}. <form method="post" action="/device/log-out">${hidden(view)}<input type="hidden" name="user_code" value="${view.userCode}"><button class="link">Not you? Log out</button></form></div>`,
    );
  }

  approved(): Html {
    return this.#page(
      "You are logged in",
      html`${badge("yes")}<h1>You are logged in</h1>
<p class="lead">Your terminal goes on by itself. You can close this page.</p>`,
    );
  }

  denied(): Html {
    return this.#page(
      "Turned away",
      html`${badge("no")}<h1>Turned away</h1>
<p class="lead">The device was not let in, and its code no longer works.</p>
<p class="lead">If you did not start this login yourself, tell an administrator: somebody may be trying to use your name.</p>`,
    );
  }

  /** Asks the owner of a set-up link to choose a password. */
  choosePassword(view: FormContext & { person: string; token: string; problem?: string }): Html {
    return this.#page(
      "Choose a password",
      html`<h1>Welcome, ${view.person}</h1>
<p class="lead">Choose the password that you will log in with.</p>
${notice(view.problem)}<form method="post" action="/setup/${view.token}">
${hidden(view)}<label for="username">Name</label>
<input id="username" value="${view.person}" readonly autocomplete="username">
<label for="password">New password</label>
<input id="password" name="password" type="password" required autofocus minlength="${passwordLimits.minBytes}" autocomplete="new-password" aria-describedby="password-hint">
<p class="hint" id="password-hint">At least ${passwordLimits.minBytes} characters. A few words that do not belong together work well.</p>
<label for="repeat">The same again</label>
<input id="repeat" name="repeat" type="password" required minlength="${passwordLimits.minBytes}" autocomplete="new-password">
<button>Set password</button>
</form>
<p class="foot">This link works once. Nobody else, administrators included, will see what you choose.</p>`,
    );
  }

  passwordSet(person: string): Html {
    return this.#page(
      "Your password is set",
      html`${badge("yes")}<h1>Your password is set</h1>
<p class="lead">Log in from a terminal with the name <b>${person}</b>:</p>
<pre><code>jitdb login ${this.#publicUrl}</code></pre>`,
    );
  }

  /** Something ended: says what, and what to do next. */
  sorry(title: string, ...sentences: readonly string[]): Html {
    const paragraphs = sentences.map((sentence) => html`<p class="lead">${sentence}</p>`);
    return this.#page(title, html`${badge("no")}<h1>${title}</h1>${join(paragraphs)}`);
  }

  #company(view: FormContext & { userCode: string }): Html | undefined {
    return this.#companyButton === undefined
      ? undefined
      : html`<form method="post" action="/device/company">
${hidden(view)}<input type="hidden" name="user_code" value="${view.userCode}">
<button class="no">${this.#companyButton}</button>
</form>
`;
  }

  #page(title: string, body: Html): Html {
    return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>${title} · jitdb</title>
<link rel="stylesheet" href="${stylePath}">
<link rel="icon" href="${iconPath}" type="image/svg+xml">
</head>
<body>
<header>${mark}<b>jitdb</b><span>${new URL(this.#publicUrl).host}</span></header>
<main>
${body}
</main>
</body>
</html>
`;
  }
}

const mark = html`<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><circle cx="8.5" cy="8.5" r="6"/><path d="M8.5 5.5v3l2 1.2M13 13l8 8M17.5 17.5l2.4-2.4"/></svg>`;

function badge(kind: "yes" | "no"): Html {
  const shape = kind === "yes" ? "M5 12.5l4.5 4.5L19 7.5" : "M7 7l10 10M17 7L7 17";
  return html`<div class="badge ${kind}"><svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="${shape}"/></svg></div>
`;
}

function notice(problem: string | undefined): Html {
  return problem === undefined
    ? html``
    : html`<p class="notice" role="alert">${problem}</p>
`;
}

function hidden({ formToken }: FormContext): Html {
  return html`<input type="hidden" name="form_token" value="${formToken}">
`;
}

function attribute(name: "autofocus", present: boolean): Html {
  return present ? html`${name}` : html``;
}

function join(parts: readonly Html[]): Html {
  return parts.reduce((whole, part) => html`${whole}${part}`, html``);
}

/** 23 Nov 2026, 19:57 UTC */
function formatTime(at: number): string {
  const time = new Intl.DateTimeFormat("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    timeZone: "UTC",
  }).format(at);
  return `${time} UTC`;
}

function formatAge(ageMs: number): string {
  const minutes = Math.floor(ageMs / 60_000);
  if (minutes < 1) {
    return "just now";
  }
  return minutes === 1 ? "a minute ago" : `${minutes} minutes ago`;
}
