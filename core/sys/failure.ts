/** Turns the error of a system call into one for the caller, which says what was being done. */
import { type ErrorCode, errnoOf, VarveError } from '../errors.js'

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'RESOURCE_EXHAUSTED',
  EDQUOT: 'RESOURCE_EXHAUSTED',
  EMFILE: 'RESOURCE_EXHAUSTED',
  ENFILE: 'RESOURCE_EXHAUSTED',
  ENOMEM: 'RESOURCE_EXHAUSTED',
  EMLINK: 'RESOURCE_EXHAUSTED',
  ENAMETOOLONG: 'INVALID_ARGUMENT',
  EFBIG: 'INVALID_ARGUMENT',
  EILSEQ: 'INVALID_ARGUMENT',
  ELOOP: 'INVALID_ARGUMENT',
  EPERM: 'FAILED_PRECONDITION',
  EACCES: 'FAILED_PRECONDITION',
  EROFS: 'FAILED_PRECONDITION',
}

/** `doing` says what was tried on what, `advice` what to do; a VarveError passes as it is. */
export function failure(error: unknown, doing: string, advice = ''): VarveError {
  if (error instanceof VarveError) return error
  const errno = errnoOf(error)
  const message = error instanceof Error ? error.message : String(error)
  return new VarveError(CODES[errno ?? ''] ?? 'UNAVAILABLE', `${doing}: ${message}${advice}`, {
    cause: error,
  })
}
