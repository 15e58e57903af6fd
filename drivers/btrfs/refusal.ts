/** A send stream that the kernel does not give. */
import { errnoOf, messageOf, VarveError } from '../../core/errors.js'

export interface Refusal {
  readonly errno: string
  readonly message: string
}

/** What a failed call said. @throws the error, where it is none of a call's */
export function refusalOf(error: unknown): Refusal {
  const errno = errnoOf(error)
  if (errno === undefined) throw error
  return { errno, message: messageOf(error) }
}

/** Its words, where a walk can do the work as well. @throws VarveError UNAVAILABLE where a stream broke off: EIO, ENOMEM … */
export function mildWords({ errno, message }: Refusal, doing: string): string {
  if (MILD.includes(errno)) return message
  throw new VarveError('UNAVAILABLE', `${doing}: ${message}`)
}

const MILD = [
  'EPERM', // not root, or one of the two is not read-only
  'ENOTTY', // a kernel without it, or without GET_SUBVOL_INFO (before 4.18)
  'EOPNOTSUPP',
  'ENOSYS', // a filter (seccomp)
  'EINVAL',
  'EAGAIN', // a balance or a deduplication is running, and they exclude each other
]
