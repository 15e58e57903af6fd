/**
 * Prints node:test's events for people: a line for each file, the details of each failure, and the skips with their reasons.
 * Failures are named again at the end, so that the last lines of a run have all of them.
 */
import type { TestsStream } from 'node:test'
import { casesOf } from '../faults/size.js'
import type { Skip } from './must-run.js'

export interface Result {
  /** Tests without subtests; a parent counts only if it fails by itself. */
  readonly passed: number
  /** A line for each failure: the test, and the first words of what went wrong. */
  readonly failures: readonly string[]
  readonly skipped: readonly Skip[]
  readonly files: readonly FileResult[]
}

export interface FileResult {
  /** As `shorten` returns it. */
  readonly file: string
  /** The number of tests, plus the inputs that they report (faults/size.ts). */
  readonly cases: number
  readonly failed: number
  readonly skipped: number
}

interface FileState {
  /** Reported inputs beyond one for each test. */
  moreCases: number
  passed: number
  failed: number
  skipped: number
  milliseconds: number
  /** Titles of the tests around the current one, by nesting. */
  readonly titles: string[]
  /** The deepest nesting of a test that ended since the last one at its level, which distinguishes a parent from a leaf. */
  childAt: number
  readonly output: string[]
}

interface Outcome {
  readonly file?: string
  readonly name: string
  readonly nesting: number
  readonly skip?: string | boolean
  readonly todo?: string | boolean
  readonly details: {
    readonly duration_ms: number
    readonly type?: string
    readonly error?: Error & { readonly cause?: unknown; readonly failureType?: string }
  }
}

/** Prints the events as they arrive; `shorten` shortens a test file's path. */
export async function report(events: TestsStream, shorten: (file: string) => string): Promise<Result> {
  const files = new Map<string, FileState>()
  const skipped: Skip[] = []
  const failures: string[] = []
  let passed = 0

  let current: string | undefined
  const finish = (): void => {
    const state = current === undefined ? undefined : files.get(current)
    if (current !== undefined && state !== undefined) printFile(shorten(current), state)
    current = undefined
  }
  // The events of a file arrive together, so a file ends when those of the next one begin.
  const stateOf = (file: string): FileState => {
    const known = files.get(file)
    if (known !== undefined) return known
    finish()
    current = file
    const state: FileState = {
      moreCases: 0,
      passed: 0,
      failed: 0,
      skipped: 0,
      milliseconds: 0,
      titles: [],
      childAt: -1,
      output: [],
    }
    files.set(file, state)
    return state
  }

  const fail = (state: FileState, title: string, details: string): void => {
    state.failed++
    failures.push(`✖ ${title}: ${brief(details)}`)
    console.log(`✖ ${title}\n${indent(details)}`)
  }

  const settle = (test: Outcome, ok: boolean): void => {
    const file = test.file ?? test.name
    const state = stateOf(file)
    const isFile = test.nesting === 0 && test.name === file
    const isParent = state.childAt > test.nesting || test.details.type === 'suite'
    state.childAt = test.nesting
    if (test.nesting === 0) state.milliseconds += test.details.duration_ms
    const title = [...state.titles.slice(0, test.nesting), test.name].join(' › ')
    const reason = skipReason(test)
    if (reason !== undefined) {
      state.skipped++
      skipped.push({ file: shorten(file), title, reason })
      return
    }
    if (ok && isFile) {
      fail(state, shorten(file), 'has no tests')
      return
    }
    if (ok) {
      if (isParent) return
      passed++
      state.passed++
      return
    }
    const error = test.details.error
    if (error?.failureType === 'subtestsFailed') return
    if (isFile && state.failed > 0) return
    const output = isFile ? state.output.join('').trimEnd() : ''
    const text = output === '' ? describe(error) : `${describe(error)}\n${output}`
    fail(state, `${shorten(file)}: ${isFile ? 'the file itself failed' : title}`, text)
  }

  for await (const event of events) {
    const { type, data } = event as { type: string; data: Outcome & { readonly message?: string } }
    const file = data.file
    if (type === 'test:start' && file !== undefined) stateOf(file).titles[data.nesting] = data.name
    else if (type === 'test:pass') settle(data, true)
    else if (type === 'test:fail') settle(data, false)
    else if ((type === 'test:stdout' || type === 'test:stderr') && file !== undefined) {
      stateOf(file).output.push(data.message ?? '')
    } else if (type === 'test:diagnostic' && file !== undefined) {
      const message = data.message ?? ''
      const cases = casesOf(message)
      if (cases !== undefined) stateOf(file).moreCases += cases - 1
      stateOf(file).output.push(`${message}\n`)
    }
  }
  finish()
  printSkips(skipped)
  const results = [...files].map(([file, state]) => ({
    file: shorten(file),
    cases: state.passed + state.failed + state.moreCases,
    failed: state.failed,
    skipped: state.skipped,
  }))
  return { passed, failures, skipped, files: results }
}

function printFile(file: string, state: FileState): void {
  const counts = [`${state.passed} passed`]
  if (state.failed > 0) counts.push(`${state.failed} failed`)
  if (state.skipped > 0) counts.push(`${state.skipped} skipped`)
  const seconds = (state.milliseconds / 1000).toFixed(1)
  console.log(`${state.failed > 0 ? '✖' : '✔'} ${file}: ${counts.join(', ')} (${seconds} s)`)
  const output = state.output.join('').trimEnd()
  if (output !== '') console.log(indent(output))
}

function printSkips(skipped: readonly Skip[]): void {
  if (skipped.length === 0) return
  console.log('\nSkipped:')
  for (const skip of skipped) console.log(`  ${skip.file}: ${skip.title}: ${skip.reason}`)
}

function skipReason(test: Outcome): string | undefined {
  if (test.skip !== undefined && test.skip !== false)
    return test.skip === true ? 'no reason given' : test.skip || 'no reason given'
  if (test.todo !== undefined && test.todo !== false) return 'todo'
  return undefined
}

/** The error and its causes, innermost first: errors around it may have a whole log as their message. */
function describe(error: Outcome['details']['error']): string {
  const causes: unknown[] = []
  // The outermost is node:test's own, with the test's error as its cause.
  for (let next: unknown = error?.cause ?? error; next !== undefined && !causes.includes(next); ) {
    causes.unshift(next)
    next = next instanceof Error ? next.cause : undefined
  }
  const texts = causes.map((each) => (each instanceof Error ? (each.stack ?? each.message) : String(each)))
  return texts.join('\nIt was the cause of:\n')
}

function brief(details: string): string {
  const [first = '', second = ''] = details.split('\n').filter((line) => line.trim() !== '')
  return `${first} ${second.trim()}`.slice(0, 300)
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '    ')
}
