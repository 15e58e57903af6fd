/** Tables with aligned columns. */
import { oneLine } from './printable.js'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** Lines of text, the titles first. Columns are two spaces apart; there are no trailing spaces. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  return [...tableLines(columns, rows)].join('')
}

/** The same as single lines, each with its newline, for tables of any length. */
export function* tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): Generator<string, void> {
  const widths = columns.map((column, i) =>
    rows.reduce((width, row) => Math.max(width, columnsOf(oneLine(row[i] ?? ''))), column.title.length),
  )
  const format = (row: readonly string[]) =>
    columns
      .map((column, i) => pad(oneLine(row[i] ?? ''), widths[i] ?? 0, column.align ?? 'left'))
      .join('  ')
      .trimEnd()
  yield `${format(columns.map((column) => column.title))}\n`
  for (const row of rows) yield `${format(row)}\n`
}

export function pad(text: string, width: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, width - columnsOf(text)))
  return align === 'left' ? text + space : space + text
}

/** Width in terminal columns: 0 for a combining mark, 2 for wide East Asian letters and emoji. */
export function columnsOf(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: printable ASCII is one column each
  if (/^[\u0000-\u007f]*$/.test(text)) return text.length
  let columns = 0
  for (const char of text) {
    if (/\p{Mark}/u.test(char)) continue
    columns +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|\p{Emoji_Presentation}/u.test(
        char,
      )
        ? 2
        : 1
  }
  return columns
}
