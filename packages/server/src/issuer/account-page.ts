/** The page of one's own account: what is enrolled, and a form for each change. Works without script, but for passkeys. */
import { type Html, html } from './html.ts';
import { problemOf, renderPage } from './pages.ts';

export interface AccountPage {
  readonly action: string;
  readonly name: string;
  readonly totp: boolean;
  readonly recoveryCodes: number;
  readonly passkeys: readonly { readonly id: string; readonly name: string; readonly created: string }[];
  /** Options for a new passkey, JSON. */
  readonly newPasskey: string;
  /** An app that is being enrolled. */
  readonly app?: { readonly key: string; readonly uri: string };
  /** New recovery codes, shown this once. */
  readonly codes?: readonly string[];
  readonly problem?: string;
  readonly good?: string;
}

export function renderAccountPage(page: AccountPage): string {
  const good = page.good === undefined ? undefined : html`<p>${page.good}</p>`;
  return renderPage({
    title: 'Your account',
    body: html`<h1>Your account</h1>
<p>${page.name}. Each change is recorded.</p>
${problemOf(page.problem)}
<div class="good" role="status">${good}</div>
${appSection(page)}
${passkeySection(page)}
${codesSection(page)}
<section aria-labelledby="applications"><h2 id="applications">Applications</h2>
<p>Ends what you are signed in to, on every device.</p>${button(page.action, 'sign-out', 'Sign out everywhere')}</section>
<section>${button(page.action, 'leave', 'Leave')}</section>`,
  });
}

function appSection({ action, app, totp }: AccountPage): Html {
  const body =
    app === undefined
      ? totp
        ? html`<p>Set up. You are asked for its code after the password.</p>${button(action, 'app-remove', 'Remove the app')}`
        : html`<p>An app on your phone that shows a new code every thirty seconds.</p>${button(action, 'app-begin', 'Set up an app')}`
      : html`<p>Type this key into the app, or <a href="${app.uri}">open it in an app on this device</a>. Then type the code it shows.</p>
<code class="key" id="key">${app.key.replaceAll(/(.{4})(?=.)/g, '$1 ')}</code>
<form class="slim" method="post" action="${action}">
<input type="hidden" name="do" value="app-confirm">
<label for="code">Code from the app</label>
<input id="code" name="code" type="text" inputmode="numeric" autocomplete="one-time-code" maxlength="10" required autofocus>
<button type="submit">Confirm</button>
</form>`;
  return html`<section aria-labelledby="app"><h2 id="app">Authenticator app</h2>${body}</section>`;
}

function passkeySection({ action, passkeys, newPasskey }: AccountPage): Html {
  const rows = passkeys.map(
    ({ id, name, created }) => html`<li>${name}, since ${created.slice(0, 10)}
<form class="slim" method="post" action="${action}"><input type="hidden" name="do" value="passkey-remove"><input type="hidden" name="id" value="${id}">
<button class="quiet" type="submit" aria-label="Remove the passkey ${name}">Remove</button></form></li>`,
  );
  return html`<section aria-labelledby="passkeys"><h2 id="passkeys">Passkeys</h2>
<p>Your fingerprint, face or device PIN instead of the password. Nobody can phish it.</p>
<ul>${rows}</ul>
<form method="post" action="${action}" data-passkey="${newPasskey}" data-kind="create" hidden>
<input type="hidden" name="do" value="passkey-add"><input type="hidden" name="credential" value="">
<label for="name">Name of the new passkey</label>
<input id="name" name="name" type="text" maxlength="40" value="This device" required>
<button type="submit">Add a passkey</button>
</form></section>`;
}

function codesSection({ action, codes, recoveryCodes }: AccountPage): Html {
  const shown =
    codes === undefined
      ? html`<p>${recoveryCodes === 0 ? 'There are none.' : `${recoveryCodes} left.`} Each works once, where the app or the passkey is lost.</p>`
      : html`<p>Write these down now: they are not shown again, and the ones before them no longer work.</p>
<ul id="codes">${codes.map((code) => html`<li><code>${code}</code></li>`)}</ul>`;
  return html`<section aria-labelledby="recovery"><h2 id="recovery">Recovery codes</h2>${shown}${button(action, 'codes', 'Make new codes')}</section>`;
}

function button(action: string, what: string, label: string): Html {
  return html`<form class="slim" method="post" action="${action}"><input type="hidden" name="do" value="${what}"><button class="quiet" type="submit">${label}</button></form>`;
}
