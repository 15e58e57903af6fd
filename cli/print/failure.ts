/** How the command reports an error to a person or a program: one message, one exit status. */
import { type ErrorCode, errnoOf, STATUS, VarveError } from '../../core/store.js'
import { jsonText, oneLine, printable } from './printable.js'

export interface Failure {
  readonly code: ErrorCode | 'INTERNAL'
  readonly message: string
  readonly exit: number
}

/** The codes of errors that are not a VarveError, from the command's own file access. */
const BY_ERRNO: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  ENOTDIR: 'NOT_FOUND',
  EEXIST: 'ALREADY_EXISTS',
  EISDIR: 'INVALID_ARGUMENT',
  EINVAL: 'INVALID_ARGUMENT',
  ENAMETOOLONG: 'INVALID_ARGUMENT',
  EACCES: 'FAILED_PRECONDITION',
  EPERM: 'FAILED_PRECONDITION',
  EROFS: 'FAILED_PRECONDITION',
  EBUSY: 'UNAVAILABLE',
  EMFILE: 'RESOURCE_EXHAUSTED',
  ENOSPC: 'RESOURCE_EXHAUSTED',
  EDQUOT: 'RESOURCE_EXHAUSTED',
}

export function failureOf(error: unknown): Failure {
  if (error instanceof VarveError) {
    return { code: error.code, message: withoutSecrets(linesOf(error)), exit: STATUS[error.code].exit }
  }
  const text = withoutSecrets(error instanceof Error ? error.message : String(error))
  const code = BY_ERRNO[errnoOf(error) ?? '']
  if (code !== undefined) return { code, message: oneLine(text), exit: STATUS[code].exit }
  return {
    code: 'INTERNAL',
    message: oneLine(`internal error: ${text} (please report it, with what VARVE_DEBUG=1 shows)`),
    exit: 1,
  }
}

/** The line or lines for standard error, without a stack unless VARVE_DEBUG=1. */
export function failureText(error: unknown, options: { readonly json: boolean }): string {
  const { code, message } = failureOf(error)
  const text = options.json ? jsonText({ error: { code, message } }) : `varve: ${message}`
  const stack = process.env.VARVE_DEBUG === '1' ? `${printable(withoutSecrets(stackOf(error)))}\n` : ''
  return `${stack}${text}\n`
}

/** Hides the password and the query (a signature, a token) of whatever looks like a URL. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@?#]*:)[^\s/?#]*@/gi, '$1…@')
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s?#'"]*\?)[^\s'"]*[^\s'":;,)]/gi, '$1…')
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`
  return `${error.stack ?? error.message}${cause}`
}

/** The first line may quote an untrusted file, so its line breaks are escaped; only `more` begins new lines. */
function linesOf({ message, more }: VarveError): string {
  const first = more.length === 0 ? message : message.slice(0, -`\n${more.join('\n')}`.length)
  return [first, ...more].map(oneLine).join('\n')
}
