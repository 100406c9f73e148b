/**
 * Reads the beginning of a JSON text that was cut off: everything up to the last complete value, as if the rest weren't there. For what left
 * in a response too large to hold. One pass over the text, whatever its nesting.
 */

/** The parsed beginning, or undefined where not even one member is complete. */
export function parsePartialJson(text: string): unknown {
  const cut = lastComma(text);
  if (cut === -1) return undefined;
  try {
    return JSON.parse(text.slice(0, cut) + closersAt(text, cut));
  } catch {
    return undefined;
  }
}

/** How many members the objects of a JSON text have, as it is written: a repeated one counts each time. */
export function countMembers(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at)) {
    at = endOfString(text, at);
    while (isSpace(text.charCodeAt(at))) at += 1;
    if (text.charCodeAt(at) === 0x3a) count += 1;
  }
  return count;
}

/** What stands before a comma is complete, whatever comes after it. */
function lastComma(text: string): number {
  let cut = -1;
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = endOfString(text, at);
      continue;
    }
    if (code === 0x2c) cut = at;
    at += 1;
  }
  return cut;
}

function closersAt(text: string, end: number): string {
  const closers: string[] = [];
  for (let at = 0; at < end; ) {
    switch (text.charCodeAt(at)) {
      case 0x22:
        at = endOfString(text, at);
        continue;
      case 0x7b:
        closers.push('}');
        break;
      case 0x5b:
        closers.push(']');
        break;
      case 0x7d:
      case 0x5d:
        closers.pop();
        break;
      default:
        break;
    }
    at += 1;
  }
  return closers.reverse().join('');
}

/** Behind the closing quote; the end of the text where there is none. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote === -1) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}
