/** A table for people: columns as wide as their content, the last one cut to the terminal, numbers to the right. */
import { stripVTControlCharacters } from 'node:util';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Longest width in characters; longer content is cut with `…`. */
  readonly widthMax?: number;
}

/** Lines without their end; `widthMax` is the terminal's width, if there is one. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  widthMax?: number,
): string[] {
  const clean = rows.map((row) => columns.map((column, at) => cut(plain(row[at] ?? ''), column.widthMax)));
  const widths = columns.map((column, at) =>
    Math.max(lengthOf(column.title), ...clean.map((row) => lengthOf(row[at] ?? ''))),
  );
  const line = (cells: readonly string[]): string => {
    const text = cells
      .map((cell, at) => {
        const space = ' '.repeat(Math.max(0, (widths[at] ?? 0) - lengthOf(cell)));
        return columns[at]?.align === 'right' ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd();
    return cut(text, widthMax);
  };
  return [line(columns.map(({ title }) => title)), ...clean.map(line)];
}

function lengthOf(text: string): number {
  return [...text].length;
}

/** What came over the network never moves the cursor. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not reach a terminal
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}

function cut(text: string, widthMax: number | undefined): string {
  if (widthMax === undefined || lengthOf(text) <= widthMax) return text;
  return `${[...text].slice(0, Math.max(0, widthMax - 1)).join('')}…`;
}
