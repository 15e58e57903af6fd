import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClock, now } from '../../../core/db/clock.js'

const START = 1_700_000_000_000.25
/** Milliseconds that an undisturbed read takes. */
const QUICK = 0.01

/** A simulated clock. Before read `n` of either source, its process is suspended for `stalls[n]` ms. */
function faked(stalls: ReadonlyMap<number, number> = new Map()) {
  let wall = START
  let fine = 7
  let reads = 0
  const pass = (ms: number) => {
    wall += ms
    fine += ms
  }
  const disturbed = <T>(read: () => T): T => {
    pass(QUICK + (stalls.get(reads++) ?? 0))
    return read()
  }
  return {
    now: createClock({
      coarse: () => disturbed(() => Math.floor(wall)),
      fine: () => disturbed(() => fine),
    }),
    pass,
    jump(ms: number) {
      wall += ms
    },
    wall: () => wall,
  }
}

test('The clock is finer than milliseconds and advances.', () => {
  const clock = faked()
  const times = Array.from({ length: 50 }, () => clock.now())
  assert.equal(new Set(times).size, 50)
  assert.deepEqual(times, times.toSorted())
  assert.ok(times.every((time) => Math.abs(time - START) < 3))
})

for (const stall of [0.6, 1.5, 2.5, 50, 10_000]) {
  test(`The clock never goes back, and is right, wherever its process is suspended for ${stall} ms.`, () => {
    for (let read = 0; read < 20; read++) {
      for (const length of [1, 2, 9]) {
        const stalls = Array.from({ length }, (_, n) => [read + n, stall] as const)
        const clock = faked(new Map(stalls))
        let last = 0
        for (let n = 0; n < 12; n++) {
          const time = clock.now()
          assert.ok(time >= last, `${length} stalls from read ${read}: ${last}, then ${time}`)
          last = time
          clock.pass(0.3)
        }
        const off = clock.now() - clock.wall()
        assert.ok(Math.abs(off) <= 2, `${length} stalls from read ${read}: off by ${off} in the end`)
      }
    }
  })
}

for (const jump of [3_600_000, -3_600_000, 5, -5]) {
  test(`The clock follows the wall clock when that jumps by ${jump} ms and back, suspended or not.`, () => {
    // Reads 0 to 2 are the first comparison. If all tries of the next one are disturbed, the one after it succeeds.
    for (const stalls of [[], [3], Array.from({ length: 9 }, (_, n) => n + 3)]) {
      const clock = faked(new Map(stalls.map((read) => [read, 1] as const)))
      for (const by of [0, jump, -jump]) {
        clock.jump(by)
        clock.now()
        const off = clock.now() - clock.wall()
        assert.ok(Math.abs(off) <= 2, `off by ${off} after a jump of ${by}`)
      }
    }
  })
}

test('The clock of the process agrees with the wall clock.', () => {
  assert.ok(Math.abs(now() - Date.now()) < 60_000)
})
