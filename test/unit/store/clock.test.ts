import assert from 'node:assert/strict'
import { test } from 'node:test'
import { now } from '../../../core/db/clock.js'

test('The clock is finer than milliseconds and goes on.', () => {
  const times = Array.from({ length: 50 }, () => now())
  assert.ok(times.some((time) => !Number.isInteger(time)))
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  )
})

for (const jump of [3_600_000, -3_600_000]) {
  test(`The clock follows the wall's when that jumps by ${jump} ms, and back.`, (t) => {
    const real = Date.now
    const mock = t.mock.method(Date, 'now', () => real() + jump)
    assert.ok(Math.abs(now() - (real() + jump)) < 1000)
    mock.mock.restore()
    assert.ok(Math.abs(now() - real()) < 1000)
  })
}
