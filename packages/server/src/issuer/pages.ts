/**
 * The pages of the issuer: sign in, and something went wrong. Server-rendered, one style sheet, no script; they work
 * with a keyboard, a screen reader, in light and dark, and with everything but forms switched off.
 */
import { hash } from 'node:crypto';
import { type Html, html } from './html.ts';

export interface SignInPage {
  /** Where the form goes. */
  readonly action: string;
  /** Name of the client that asks. */
  readonly clientName: string;
  /** What was typed before; empty at first. */
  readonly username: string;
  /** Why it did not work; said aloud by screen readers. */
  readonly problem?: string;
  readonly demo: boolean;
}

const style = `
:root { color-scheme: light dark; --page: #f7f8f9; --surface: #fff; --line: #e5e7eb; --field: #868d99; --ink: #16191f; --quiet: #4a505c; --accent: #2e55c9; --accent-strong: #2447ae; --on-accent: #fff; --amber: #8a5300; --amber-wash: #fdf4e1; }
@media (prefers-color-scheme: dark) { :root { --page: #0d0f12; --surface: #13161a; --line: #242930; --field: #6d7683; --ink: #e8eaed; --quiet: #b0b7c1; --accent: #93aefc; --accent-strong: #b0c4ff; --on-accent: #0d1430; --amber: #eab04a; --amber-wash: #2b210e; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; grid-template-rows: 1fr auto; justify-items: center; background: var(--page); color: var(--ink); font: 16px/24px Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; font-feature-settings: "tnum"; }
main { align-self: center; width: min(400px, 100vw - 32px); margin: 48px 0 24px; padding: 40px; background: var(--surface); border: 1px solid var(--line); border-radius: 12px; }
.mark { display: flex; align-items: center; gap: 12px; margin: 0 0 32px; font-weight: 600; letter-spacing: -0.01em; }
.mark svg { width: 32px; height: 32px; }
h1 { margin: 0 0 4px; font-size: 22px; line-height: 32px; font-weight: 600; letter-spacing: -0.015em; }
p { margin: 0; color: var(--quiet); }
form { display: grid; margin-top: 24px; }
label { font-size: 14px; font-weight: 500; margin-bottom: 6px; }
input { font: inherit; color: inherit; width: 100%; height: 44px; padding: 0 12px; margin-bottom: 16px; background: transparent; border: 1px solid var(--field); border-radius: 8px; }
button { font: inherit; font-weight: 600; height: 44px; margin-top: 8px; border: 0; border-radius: 8px; background: var(--accent); color: var(--on-accent); cursor: pointer; }
button:hover { background: var(--accent-strong); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.problem p { margin-top: 24px; padding: 10px 12px; color: var(--amber); background: var(--amber-wash); border-left: 3px solid currentColor; border-radius: 4px; font-size: 14px; line-height: 20px; }
.demo { margin-top: 24px; padding-top: 16px; border-top: 1px solid var(--line); font-size: 13px; line-height: 20px; }
code { font: 0.95em ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, monospace; color: var(--ink); }
footer { padding: 0 16px 24px; font-size: 13px; color: var(--quiet); text-align: center; }
@media (max-width: 440px) { main { padding: 28px 24px; } }
`;

/** The `style-src` source that lets exactly our style sheet in. */
export const styleSource: string = `'sha256-${hash('sha256', style, 'base64')}'`;

const mark: Html = html`<svg viewBox="0 0 32 32" fill="none" aria-hidden="true"><rect width="32" height="32" rx="8" fill="#16202e"/><path d="M6 12c0 6.6 4.5 11 10 11s10-4.4 10-11M6 12h20" stroke="#8fb0ff" stroke-width="2.4" stroke-linecap="round"/><circle cx="16" cy="16" r="2.2" fill="#fff"/></svg>`;

/** The form; labels `Username` and `Password`, button `Sign in`. */
export function renderSignInPage(page: SignInPage): string {
  const problem = page.problem === undefined ? undefined : html`<p>${page.problem}</p>`;
  const invalid = page.problem === undefined ? undefined : html` aria-describedby="problem"`;
  const demo = page.demo
    ? html`<p class="demo">This is a demo with made-up people. Usernames and passwords for each role are in <code>demo.json</code> in the demo’s data directory.</p>`
    : undefined;
  // The cursor goes to what is to be typed next.
  const [atUsername, atPassword] = page.username === '' ? [html` autofocus`, undefined] : [undefined, html` autofocus`];
  return renderPage({
    title: page.problem === undefined ? 'Sign in' : 'Sign in: not yet',
    body: html`<h1>Sign in</h1>
<p>to go on to ${page.clientName}</p>
<div class="problem" id="problem" role="alert" aria-live="assertive">${problem}</div>
<form method="post" action="${page.action}">
<label for="username">Username</label>
<input id="username" name="username" type="text" value="${page.username}" autocomplete="username" autocapitalize="none" autocorrect="off" spellcheck="false" maxlength="64" required${invalid}${atUsername}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" required${invalid}${atPassword}>
<button type="submit">Sign in</button>
</form>
${demo}`,
  });
}

/** A dead end, with the way out. */
export function renderErrorPage(problem: string): string {
  return renderPage({
    title: 'This sign-in can’t go on',
    body: html`<h1>This sign-in can’t go on</h1>
<p>Nothing is lost: go back to where you came from and sign in again.</p>
<div class="problem" role="alert"><p>${problem}</p></div>`,
  });
}

function renderPage({ title, body }: { title: string; body: Html }): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · Watchglass</title>
<style>${{ html: style }}</style>
</head>
<body>
<main>
<div class="mark">${mark}<span>Watchglass</span></div>
${body}
</main>
<footer>Each sign-in, good or bad, is recorded.</footer>
</body>
</html>
`.html;
}
