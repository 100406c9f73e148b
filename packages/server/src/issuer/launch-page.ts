/** The page on which somebody says which patient's record an application is for. Works without script. */
import { type Html, html } from './html.ts';
import { problemOf, renderPage } from './pages.ts';
import { type FoundPatient, termCharsMax } from './patient-search.ts';

export interface LaunchPage {
  readonly action: string;
  readonly clientName: string;
  readonly term: string;
  /** Undefined before the first search. */
  readonly found?: readonly FoundPatient[];
  readonly problem?: string;
}

export function renderLaunchPage({ action, clientName, term, found, problem }: LaunchPage): string {
  return renderPage({
    title: 'Choose a patient',
    body: html`<h1>Choose a patient</h1>
<p>${clientName} is for one patient’s record. Looking somebody up is recorded.</p>
${problemOf(problem)}
<form method="post" action="${action}">
<input type="hidden" name="step" value="patient-find">
<label for="term">Name or id</label>
<input id="term" name="term" type="search" value="${term}" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="${String(termCharsMax)}" required autofocus>
<button type="submit">Look up</button>
</form>
${found === undefined ? undefined : results(action, found)}
<form class="slim" method="post" action="${action}"><input type="hidden" name="step" value="patient-none"><button class="quiet" type="submit">Go back without</button></form>`,
  });
}

function results(action: string, found: readonly FoundPatient[]): Html {
  if (found.length === 0) return html`<section role="status"><p>Nobody is found by that.</p></section>`;
  return html`<section aria-labelledby="found"><h2 id="found">Found</h2>
<form method="post" action="${action}" class="slim">
<input type="hidden" name="step" value="patient-pick">
<ul class="choices">${found.map(
    ({ id, name, birthDate }) =>
      html`<li><button class="choice" type="submit" name="patient" value="${id}"><strong>${name}</strong><span>${birthDate === undefined ? undefined : html`born ${birthDate} · `}<code>${id}</code></span></button></li>`,
  )}</ul>
</form></section>`;
}
