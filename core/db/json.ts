/** JSON that a column holds. */
import { jsonFault, VarveError } from '../errors.js'

/** `what` names the value in the message. @throws VarveError CORRUPT if it is not JSON, or neither an object nor an array */
export function parseJson<T extends object>(text: string, what: string): T {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as T
    throw new SyntaxError(`a ${typeof value}`)
  } catch (error) {
    throw new VarveError(
      'CORRUPT',
      `database varve.db: ${what} are not valid JSON (${jsonFault(error)}); the database was altered: run \`varve check\`; \`varve check --rebuild\` makes it anew`,
    )
  }
}
