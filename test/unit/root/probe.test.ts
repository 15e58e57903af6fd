import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { isDataRoot, probeDrivers } from '../../../core/root/probe.js'
import { plainModule } from '../store/plain-driver.js'

const NOBODY = 2 ** 22 + 1 // above the kernel's largest pid

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(`${tmpdir()}/varve-probing-`)
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A driver whose probe looks into its scratch directory. */
function looking(seen: string[]) {
  const module = plainModule({ name: 'plain', priority: 1 })
  return {
    ...module,
    probe: (context: Parameters<typeof module.probe>[0]) => {
      seen.push(context.scratch)
      assert.ok(existsSync(context.scratch))
      return module.probe(context)
    },
  }
}

test('Drivers are probed for a missing root, on its file system, and nothing stays.', () =>
  inFolder(async (folder) => {
    const seen: string[] = []
    const root = `${folder}/not/yet`
    const [verdict] = await probeDrivers({ root, drivers: [looking(seen)] })
    assert.equal(verdict?.verdict, 'supported')
    assert.equal(verdict.selected, true)
    assert.ok(seen[0]?.startsWith(`${folder}/.varve-probe-${process.pid}-`))
    assert.deepEqual(readdirSync(folder), [])
    assert.equal(isDataRoot(root), false)
    await assert.rejects(probeDrivers({ root, drivers: [looking([])], driver: 'plan' }), {
      code: 'INVALID_ARGUMENT',
      message: /did you mean "plain"/,
    })
  }))

test('The next call removes what a killed process left, and nothing else.', () =>
  inFolder(async (folder) => {
    const names = [
      `.varve-probe-${NOBODY}-1`,
      `.varve-probe-${NOBODY}-2`,
      `.varve-probe-${process.pid}-3`,
      '.varve-probe-x',
    ]
    for (const name of names) {
      mkdirSync(`${folder}/${name}`)
      writeFileSync(`${folder}/${name}/file`, '')
      if (!name.endsWith('2')) utimesSync(`${folder}/${name}`, 1000, 1000)
    }
    await probeDrivers({ root: folder, drivers: [looking([])] })
    assert.deepEqual(readdirSync(folder).sort(), names.slice(1).sort())
  }))
