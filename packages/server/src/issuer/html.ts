/** HTML by template: every value is escaped unless it is HTML already, so that forgetting is safe. */
export interface Html {
  readonly html: string;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** `` html`<p>${text}</p>` ``; a value may be text, HTML, a list of HTML, or nothing. */
export function html(
  strings: TemplateStringsArray,
  ...values: readonly (string | Html | readonly Html[] | undefined)[]
): Html {
  const parts = strings.map((string, position) => string + render(values[position]));
  return { html: parts.join('') };
}

function render(value: string | Html | readonly Html[] | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return value.replace(/[&<>"']/g, (character) => entities[character] ?? '');
  if ('html' in value) return value.html;
  return value.map((member) => member.html).join('');
}
