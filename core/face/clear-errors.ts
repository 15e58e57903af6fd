/** Lets every call fail with a VarveError only: a system error that nothing inside has explained at least names the call. */
import { failure } from '../sys/failure.js'

type Call = (...args: readonly unknown[]) => unknown

/** The same object; each of its functions (and of the objects `parts` in it) throws VarveErrors only. */
export function withClearErrors<T extends object>(face: T, parts: readonly (keyof T)[] = []): T {
  const entries = Object.entries(face).map(([name, value]) => {
    if (typeof value === 'function') return [name, cleared(name, value as Call)]
    return [name, parts.includes(name as keyof T) ? withClearErrors(value as object) : value]
  })
  return Object.fromEntries(entries) as T
}

function cleared(name: string, call: Call): Call {
  return (...args) => {
    const fail = (error: unknown): never => {
      throw failure(error, doing(name, args[0]))
    }
    try {
      const result = call(...args)
      if (result instanceof Promise) return result.catch(fail)
      return isAsyncIterable(result) ? clearItems(result, fail) : result
    } catch (error) {
      return fail(error)
    }
  }
}

async function* clearItems<T>(
  items: AsyncIterable<T>,
  fail: (error: unknown) => never,
): AsyncGenerator<T, void> {
  try {
    yield* items
  } catch (error) {
    fail(error)
  }
}

/** `importImage` of `app.tar` is `import image app.tar`. */
function doing(name: string, subject: unknown): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
  return typeof subject === 'string' && subject !== '' ? `${words} ${subject}` : words
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
