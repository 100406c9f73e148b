/**
 * The pages of the issuer: sign in, the second factor, one's own account, and something went wrong. Server-rendered, one style sheet; they work
 * with a keyboard, a screen reader, in light and dark, and with everything but forms switched off: only passkeys need the one script, which shows their buttons.
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
  /** Options of a passkey, JSON. */
  readonly passkey?: string;
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
a { color: var(--accent); }
form { display: grid; margin-top: 24px; }
label { font-size: 14px; font-weight: 500; margin-bottom: 6px; }
input { font: inherit; color: inherit; width: 100%; height: 44px; padding: 0 12px; margin-bottom: 16px; background: transparent; border: 1px solid var(--field); border-radius: 8px; }
button { font: inherit; font-weight: 600; height: 44px; margin-top: 8px; border: 0; border-radius: 8px; background: var(--accent); color: var(--on-accent); cursor: pointer; }
button:hover { background: var(--accent-strong); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.problem p { margin-top: 24px; padding: 10px 12px; color: var(--amber); background: var(--amber-wash); border-left: 3px solid currentColor; border-radius: 4px; font-size: 14px; line-height: 20px; }
.quiet { background: transparent; color: var(--accent); border: 1px solid var(--field); }
.quiet:hover { background: transparent; border-color: var(--accent); }
form.slim { margin-top: 12px; }
section { margin-top: 28px; padding-top: 20px; border-top: 1px solid var(--line); }
h2 { margin: 0 0 4px; font-size: 16px; line-height: 24px; font-weight: 600; }
ul { margin: 12px 0 0; padding: 0; list-style: none; }
li { padding: 8px 0; }
.choices li { padding: 4px 0; }
.choice { width: 100%; height: auto; margin: 0; padding: 10px 12px; display: grid; gap: 2px; text-align: left; background: transparent; color: var(--ink); border: 1px solid var(--line); }
.choice:hover { background: transparent; border-color: var(--accent); }
.choice span { font-size: 14px; line-height: 20px; font-weight: 400; color: var(--quiet); overflow-wrap: anywhere; }
.good p { margin-top: 24px; padding: 10px 12px; border-left: 3px solid var(--accent); border-radius: 4px; font-size: 14px; line-height: 20px; }
.key { display: block; margin: 12px 0; line-height: 24px; text-wrap: balance; overflow-wrap: anywhere; }
#codes { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); column-gap: 12px; }
#codes li { padding: 4px 0; font-size: 13px; }
[hidden] { display: none; }
.demo { margin-top: 24px; padding-top: 16px; border-top: 1px solid var(--line); font-size: 13px; line-height: 20px; }
code { font: 0.95em ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, monospace; color: var(--ink); }
footer { padding: 0 16px 24px; font-size: 13px; color: var(--quiet); text-align: center; }
@media (max-width: 440px) { main { padding: 28px 24px; } }
`;

/** The `style-src` source that lets exactly our style sheet in. */
export const styleSource: string = `'sha256-${hash('sha256', style, 'base64')}'`;

/** Asks the browser for a passkey and sends the form with its answer. No passkey leaves the page other than by the form. */
const script = `
for (const form of document.querySelectorAll('form[data-passkey]')) {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) break;
  form.hidden = false;
  form.addEventListener('submit', async (event) => {
    const field = form.elements.credential;
    if (field.value !== '') return;
    event.preventDefault();
    const options = JSON.parse(form.dataset.passkey);
    try {
      const credential = form.dataset.kind === 'create'
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      field.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      document.getElementById('problem').innerHTML = '<p>No passkey was used. Try again, or go on another way.</p>';
    }
  });
}
`;

/** The `script-src` source that lets exactly our script in. */
export const scriptSource: string = `'sha256-${hash('sha256', script, 'base64')}'`;

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
${page.passkey === undefined ? undefined : passkeyForm(page.action, page.passkey)}
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

/** Asks whoever is sent here to sign out. */
export function renderSignOutPage(page: {
  readonly action: string;
  readonly clientName: string;
  readonly fields: readonly { readonly name: string; readonly value: string }[];
}): string {
  return renderPage({
    title: 'Sign out',
    body: html`<h1>Sign out of ${page.clientName}?</h1>
<p>What it may do for you ends, wherever it is open. To stay signed in, leave this page.</p>
<form method="post" action="${page.action}">
${page.fields.map(({ name, value }) => html`<input type="hidden" name="${name}" value="${value}">`)}
<input type="hidden" name="confirm" value="yes">
<button type="submit" autofocus>Sign out</button>
</form>`,
  });
}

export function renderSignedOutPage(): string {
  return renderPage({
    title: 'Signed out',
    body: html`<h1>Signed out</h1>
<p role="status">You can close this page.</p>`,
  });
}

/** Nobody was signed out: there was nobody, or it isn't done for who asks. Everything can be ended at one's account. */
export function renderNotSignedOutPage(page: { readonly accountUrl: string; readonly problem?: string }): string {
  return renderPage({
    title: 'Nothing was ended',
    body: html`<h1>Nothing was ended</h1>
<p>${page.problem === undefined ? 'You are not signed in there, or not any more. ' : ''}To sign out of every application, go to <a href="${page.accountUrl}">your account</a>.</p>
${problemOf(page.problem)}`,
  });
}

/** A code, a passkey, or both. */
export function renderSecondFactorPage(page: {
  readonly action: string;
  readonly code?: 'app' | 'recovery';
  readonly passkey?: string;
  readonly problem?: string;
}): string {
  const label = page.code === 'app' ? 'Code from your app, or a recovery code' : 'Recovery code';
  const code = html`<form method="post" action="${page.action}">
<input type="hidden" name="step" value="code">
<label for="code">${label}</label>
<input id="code" name="code" type="text" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" maxlength="64" required autofocus>
<button type="submit">Go on</button>
</form>`;
  return renderPage({
    title: 'One more step',
    body: html`<h1>One more step</h1>
<p>Show that it is you, beyond the password.</p>
${problemOf(page.problem)}
${page.code === undefined ? undefined : code}
${page.passkey === undefined ? undefined : passkeyForm(page.action, page.passkey)}
<form class="slim" method="post" action="${page.action}"><input type="hidden" name="step" value="again"><button class="quiet" type="submit">Begin again</button></form>`,
  });
}

/** What was asked for can't be reached with what the person has. */
export function renderStepUpPage(page: { readonly action: string; readonly accountUrl: string }): string {
  return renderPage({
    title: 'More is asked for',
    body: html`<h1>More is asked for</h1>
<p>This needs a stronger sign-in than you have set up, or than you used: a code from an app, or a passkey. <a href="${page.accountUrl}">Set one up</a>, then come back.</p>
${problemOf(undefined)}
<form method="post" action="${page.action}"><input type="hidden" name="step" value="again"><button type="submit">Sign in another way</button></form>
<form class="slim" method="post" action="${page.action}"><input type="hidden" name="step" value="give-up"><button class="quiet" type="submit">Go back without it</button></form>`,
  });
}

export function problemOf(problem: string | undefined): Html {
  const said = problem === undefined ? undefined : html`<p>${problem}</p>`;
  return html`<div class="problem" id="problem" role="alert" aria-live="assertive">${said}</div>`;
}

/** Shown by the script, where the browser knows passkeys. */
function passkeyForm(action: string, options: string): Html {
  return html`<form class="slim" method="post" action="${action}" data-passkey="${options}" hidden>
<input type="hidden" name="step" value="passkey"><input type="hidden" name="credential" value="">
<button class="quiet" type="submit">Use a passkey</button>
</form>`;
}

export function renderPage({ title, body }: { title: string; body: Html }): string {
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
<script>${{ html: script }}</script>
</body>
</html>
`.html;
}
