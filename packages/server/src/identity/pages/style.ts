// The pages' one style sheet: small, without anything from elsewhere, for light and dark, for phones first.

import { hash } from "node:crypto";

export const styleSheet = `:root {
  color-scheme: light dark;
  --page: #f3f4f1;
  --card: #ffffff;
  --text: #16201c;
  --soft: #5a6761;
  --line: #d9deda;
  --edge: #aab4ae;
  --field: #ffffff;
  --inset: #f3f5f3;
  --accent: #0b6b50;
  --accent-strong: #085340;
  --on-accent: #ffffff;
  --danger: #a3282b;
  --danger-inset: #fbeceb;
  --good-inset: #e4f3ec;
  --shadow: 0 1px 2px rgb(16 32 26 / 6%), 0 12px 32px rgb(16 32 26 / 8%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1311;
    --card: #171d1a;
    --text: #e8eeea;
    --soft: #9eaaa4;
    --line: #2c3531;
    --edge: #4d5a54;
    --field: #0f1412;
    --inset: #101613;
    --accent: #4cc39a;
    --accent-strong: #6ad3ae;
    --on-accent: #06231a;
    --danger: #f49a98;
    --danger-inset: #2c1717;
    --good-inset: #11291f;
    --shadow: none;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; -webkit-text-size-adjust: 100%; }
body { margin: 0; min-height: 100vh; min-height: 100dvh; background: var(--page); color: var(--text);
  display: flex; flex-direction: column; align-items: center; padding: 1.25rem 1rem 2rem; }
header { width: 100%; max-width: 27rem; display: flex; align-items: center; gap: .6rem; padding: .25rem .25rem 1rem; }
header svg { width: 1.75rem; height: 1.75rem; flex: none; color: var(--accent); }
header b { font-size: 1.05rem; letter-spacing: -.01em; }
header span { margin-left: auto; color: var(--soft); font-size: .875rem; overflow-wrap: anywhere; text-align: right; }
main { width: 100%; max-width: 27rem; background: var(--card); border: 1px solid var(--line); border-radius: 1rem;
  padding: 1.5rem 1.25rem 1.4rem; box-shadow: var(--shadow); }
@media (min-width: 32rem) {
  body { padding-top: min(12vh, 6rem); }
  main { padding: 2rem 2rem 1.9rem; }
}
h1 { margin: 0 0 .4rem; font-size: 1.45rem; line-height: 1.25; letter-spacing: -.015em; text-wrap: balance; }
p { margin: 0 0 1.1rem; }
.lead, .hint { color: var(--soft); }
.hint { font-size: .875rem; margin: .4rem 0 0; }
.lead b, .lead strong { color: var(--text); }
.badge { display: grid; place-items: center; width: 3rem; height: 3rem; border-radius: 50%; margin: 0 0 1rem;
  background: var(--good-inset); color: var(--accent); }
.badge.no { background: var(--danger-inset); color: var(--danger); }
.badge svg { width: 1.5rem; height: 1.5rem; }
form { margin: 0; }
label { display: block; font-weight: 600; font-size: .9375rem; margin: 1rem 0 .35rem; }
input { width: 100%; font: inherit; color: inherit; background: var(--field); border: 1px solid var(--edge);
  border-radius: .6rem; padding: .7rem .8rem; min-height: 3rem; }
input[readonly] { background: var(--inset); color: var(--soft); }
input.code { font: 600 1.5rem/1.2 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  letter-spacing: .14em; text-align: center; text-transform: uppercase; padding: .8rem .5rem; }
input.code::placeholder { color: var(--edge); font-weight: 400; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button { width: 100%; min-height: 3rem; margin-top: 1.25rem; font: inherit; font-weight: 600; cursor: pointer;
  border-radius: .6rem; border: 1px solid transparent; background: var(--accent); color: var(--on-accent); }
button:hover { background: var(--accent-strong); }
button.no { background: transparent; color: var(--danger); border-color: var(--edge); margin-top: .6rem; }
button.no:hover { background: var(--danger-inset); }
button.link { width: auto; min-height: 0; margin: 0; padding: 0; border: 0; background: none; color: var(--accent);
  font-weight: 400; text-decoration: underline; text-underline-offset: .15em; }
a { color: var(--accent); text-underline-offset: .15em; }
.notice { border-radius: .6rem; padding: .75rem .9rem; margin: 1rem 0; background: var(--danger-inset); color: var(--danger); }
.notice.plain { background: var(--inset); color: var(--text); font-size: .9375rem; }
.shown { background: var(--inset); border: 1px solid var(--line); border-radius: .8rem; text-align: center;
  padding: .9rem .5rem 1rem; margin: 1.1rem 0; }
.shown span { display: block; color: var(--soft); font-size: .875rem; margin-bottom: .15rem; }
.shown strong { font: 700 1.9rem/1.2 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  letter-spacing: .1em; white-space: nowrap; }
dl { margin: 0 0 1.1rem; font-size: .9375rem; }
dl div { display: flex; gap: 1rem; padding: .5rem 0; border-bottom: 1px solid var(--line); }
dl div:last-child { border-bottom: 0; }
dt { color: var(--soft); flex: 0 0 5.5rem; }
dd { margin: 0; flex: 1; overflow-wrap: anywhere; }
dd small { color: var(--soft); font-size: .875rem; white-space: nowrap; }
code { font: .9375em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { margin: .6rem 0 0; padding: .75rem .9rem; border-radius: .6rem; background: var(--inset); border: 1px solid var(--line);
  white-space: pre-wrap; overflow-wrap: anywhere; }
main > :last-child { margin-bottom: 0; }
.foot { margin: 1.25rem 0 0; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .875rem; }
.foot form { display: inline; }
@media (prefers-reduced-motion: no-preference) { button { transition: background-color .12s; } }
@media (forced-colors: active) { main, .shown, .notice, button { border: 1px solid; } }
`;

/** The mark of the pages' header, for the browser's tab: a key whose bow is a clock. */
export const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#1a8f6d" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"><circle cx="8.5" cy="8.5" r="6"/><path d="M8.5 5.5v3l2 1.2M13 13l8 8M17.5 17.5l2.4-2.4"/></svg>';

/** Paths that name their content, so that browsers may keep it for ever. */
export const stylePath = `/device/style-${digest(styleSheet)}.css`;
export const iconPath = `/device/icon-${digest(icon)}.svg`;

function digest(text: string): string {
  return hash("sha256", text, "hex").slice(0, 12);
}
