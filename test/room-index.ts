/** The README of each of core's rooms: a line for each file, which is the first sentence of its head comment. */
import { basename, join } from 'node:path'
import { FLOORS, readAllSources, roomOf, type Source } from './rooms.js'

/** A longer sentence ends at its first colon, or in an ellipsis: the line is an index, not the comment. */
const LONGEST = 160

export interface RoomIndex {
  /** Relative to the checkout. */
  readonly file: string
  readonly text: string
}

export function roomIndexes(sources: readonly Source[] = readAllSources()): readonly RoomIndex[] {
  const rooms = FLOORS.filter((room) => room.startsWith('core/') && !room.endsWith('.ts'))
  return rooms.map((room) => {
    const own = sources.filter(({ path }) => roomOf(path) === room).sort((a, b) => (a.path < b.path ? -1 : 1))
    const up = '../'.repeat(room.split('/').length - 1)
    const head = `# ${room}\n\nThe first sentence of each file's head comment: made by \`npm run table -- rooms\`, not to be edited. [All rooms](${up}README.md)`
    const rows = own.map(({ path, text }) => `| \`${basename(path)}\` | ${firstSentence(path, text)} |`)
    return {
      file: join(room, 'README.md'),
      text: `${head}\n\n| file | what it is |\n|---|---|\n${rows.join('\n')}\n`,
    }
  })
}

/** @throws Error where the file does not begin with a comment */
function firstSentence(path: string, text: string): string {
  const comment = /^\/\*\*([\s\S]*?)\*\//.exec(text)?.[1]
  if (comment === undefined) throw new Error(`${path}: does not begin with a comment`)
  const words = comment
    .replace(/^\s*\*/gm, '')
    .replace(/\s+/g, ' ')
    .trim()
  const sentence = /^.*?[.?!](?= |$)/.exec(words)?.[0] ?? words
  return shortened(sentence).replaceAll('|', '\\|')
}

function shortened(sentence: string): string {
  if (sentence.length <= LONGEST) return sentence
  const [before = ''] = sentence.split(': ')
  return before.length <= LONGEST ? `${before}.` : `${sentence.slice(0, LONGEST).replace(/\s\S*$/, '')} …`
}
