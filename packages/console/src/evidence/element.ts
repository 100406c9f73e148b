/** Elements of the evidence page, made without any markup: whatever a record holds stays text. */

type Child = Node | string | undefined | false;

interface Attributes {
  readonly [name: string]: string | undefined;
}

/** An element with its attributes and children; what is undefined or false is left out. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return made;
}

/** A ring with a tick, or a broken square: the console's seals. */
export function sealShape(state: 'intact' | 'broken'): SVGSVGElement {
  const shape = svg('svg', { viewBox: '0 0 16 16', fill: 'none', 'aria-hidden': 'true' });
  const line = { stroke: 'var(--surface)', 'stroke-width': '1.6', 'stroke-linecap': 'round' };
  if (state === 'intact') {
    shape.append(
      svg('circle', { cx: '8', cy: '8', r: '6.8', fill: 'currentColor' }),
      svg('path', { d: 'm5.2 8.2 1.9 1.9 3.7-4', ...line }),
    );
  } else {
    shape.append(
      svg('path', { d: 'M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2z', fill: 'currentColor' }),
      svg('path', { d: 'm5.5 5.5 5 5m0-5-5 5', ...line }),
    );
  }
  return shape as SVGSVGElement;
}

function svg(name: string, attributes: Attributes): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
  return made;
}
