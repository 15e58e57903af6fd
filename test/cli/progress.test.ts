import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { openProgress, progressText } from '../../cli/print/progress.js'

const MiB = 1024 ** 2
const import2 = { step: 'import layer 2/5', done: 21 * MiB, total: 50 * MiB, unit: 'bytes' } as const

test('a line says how far, how fast and how much time is left', () => {
  assert.equal(
    progressText(import2, 10 * MiB, 120),
    'import layer 2/5  [==========>             ]   42%  21.0 MiB / 50.0 MiB  10.0 MiB/s  3s left',
  )
})

test('without a total there is no bar and no time left', () => {
  assert.equal(
    progressText({ step: 'import', done: 3 * MiB, total: undefined, unit: 'bytes' }, 2 * MiB, 80),
    'import  3.0 MiB  2.0 MiB/s',
  )
})

test('files and layers are counted', () => {
  assert.equal(
    progressText({ step: 'check', done: 5, total: 10, unit: 'layers' }, 0.5, 100),
    'check  [============>           ]   50%  5 / 10 layers  1 layers/s  10s left',
  )
})

test('a line is never wider than the terminal', () => {
  for (let width = 1; width < 130; width++) {
    for (const step of ['x', 'export layer 2/5 sha256:'.padEnd(200, 'f')]) {
      const text = progressText({ ...import2, step }, 1, width)
      assert.ok(text.length < width || text === '', `${width}: ${text}`)
    }
  }
})

test('short work shows nothing; longer work shows one line, which is removed at its end', async () => {
  let now = 0
  const screen = fakeTerminal()
  const line = await openProgress(screen.stream, { now: () => now, delay: 300 })
  try {
    line.report({ ...import2, done: 1 * MiB })
    assert.equal(screen.text(), '')
    now = 1000
    line.report({ ...import2, done: 6 * MiB })
    assert.match(screen.text(), /import layer 2\/5 {2}\[===>/)
    assert.match(screen.text(), /5\.0 MiB\/s {2}9s left/)
  } finally {
    line.clear()
  }
  assert.ok(screen.text().endsWith('\x1b[2K'))
})

function fakeTerminal() {
  let text = ''
  const stream = new Writable({
    write(chunk, _, done) {
      text += String(chunk)
      done()
    },
  })
  return {
    stream: Object.assign(stream, { isTTY: true, columns: 100 }) as unknown as NodeJS.WriteStream,
    text: () => text,
  }
}
