/**
 * The one error class of varve. Codes are containerd's words (pkg/errdefs), so that they map onto every
 * surface without loss; {@link STATUS} is that one map.
 */
export type ErrorCode =
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'INVALID_ARGUMENT'
  | 'FAILED_PRECONDITION'
  | 'UNAVAILABLE'
  | 'UNIMPLEMENTED'
  | 'RESOURCE_EXHAUSTED'
  | 'CORRUPT'
  | 'CANCELLED'

export interface ErrorStatus {
  /** Exit status of the `varve` command. */
  readonly exit: number
  readonly http: number
  /** https://grpc.io/docs/guides/status-codes/ */
  readonly grpc: number
}

export const STATUS: Readonly<Record<ErrorCode, ErrorStatus>> = {
  INVALID_ARGUMENT: { exit: 2, http: 400, grpc: 3 },
  NOT_FOUND: { exit: 3, http: 404, grpc: 5 },
  ALREADY_EXISTS: { exit: 4, http: 409, grpc: 6 },
  FAILED_PRECONDITION: { exit: 5, http: 412, grpc: 9 },
  UNAVAILABLE: { exit: 6, http: 503, grpc: 14 },
  UNIMPLEMENTED: { exit: 7, http: 501, grpc: 12 },
  RESOURCE_EXHAUSTED: { exit: 8, http: 507, grpc: 8 },
  CORRUPT: { exit: 9, http: 500, grpc: 15 },
  CANCELLED: { exit: 130, http: 499, grpc: 1 },
}

export class VarveError extends Error {
  override readonly name = 'VarveError'
  readonly code: ErrorCode
  /** Lines of ours that end the message: usage, the reasons of several drivers. Any other line break came from outside. */
  readonly more: readonly string[]

  /** `message` says what was tried, on what, what came back, and what to do about it; `more` are further lines. */
  constructor(
    code: ErrorCode,
    message: string,
    { more = [], ...options }: { readonly cause?: unknown; readonly more?: readonly string[] } = {},
  ) {
    super([message, ...more].join('\n'), options)
    this.code = code
    this.more = more
  }
}

/** The `code` of a failed system call (`'ENOENT'` …), of Node's fs or of core/sys; undefined for other errors. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined
}

/** True where `error` is a VarveError with this code. */
export function isCode(error: unknown, code: ErrorCode): error is VarveError {
  return error instanceof VarveError && error.code === code
}

/** @throws VarveError CANCELLED */
export function checkSignal({ signal }: { readonly signal?: AbortSignal | undefined }): void {
  if (signal?.aborted) throw new VarveError('CANCELLED', 'cancelled')
}

/**
 * The message of an error of JSON.parse without the text that it quotes, which may hold a secret. For the same reason such
 * an error is never the cause of another one.
 */
export function jsonFault(error: unknown): string {
  return messageOf(error).replace(/(?:, |^)(?:\.{3})?".*is not valid JSON$/s, '')
}

/** The message of an error, to be part of another one. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
