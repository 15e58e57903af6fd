import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { parseLayerId } from '../../../core/ids.js'
import { layersIn, makeWhole, purge, removeWhole } from '../../../drivers/temporary.js'

const MODULE = new URL('../../../drivers/temporary.js', import.meta.url).href
const ID = parseLayerId('x')

function withFolder(use: (folder: string) => Promise<void> | void): () => Promise<void> {
  return async () => {
    const folder = fs.mkdtempSync(join(tmpdir(), 'varve-temporary-'))
    try {
      await use(folder)
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** Another process that is in the middle of making a layer, until the caller kills it. */
async function halfway(folder: string): Promise<{ readonly kill: () => Promise<void> }> {
  const script = `
    const { makeWhole } = await import(${JSON.stringify(MODULE)})
    const { writeFileSync } = await import('node:fs')
    await makeWhole(${JSON.stringify(folder)}, 'x', { durable: false, async fill(directory) {
      writeFileSync(directory + '/half', '')
      console.log('halfway')
      await new Promise((done) => setTimeout(done, 60_000))
    } })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve)
    child.once('exit', () => reject(new Error('it ended too early')))
  })
  return {
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

it(
  'a layer that a process is making is not purged by others until that process is killed',
  withFolder(async (folder) => {
    const warnings: string[] = []
    const other = await halfway(folder)
    try {
      const during = fs.readdirSync(folder).sort()
      assert.equal(during.length, 1)
      purge(folder, (message) => warnings.push(message))
      assert.deepEqual(fs.readdirSync(folder).sort(), during)
      assert.deepEqual(layersIn(folder), [], 'it is not a layer yet')
      await makeWhole(folder, ID, { durable: true, fill: () => {} })
      assert.deepEqual(layersIn(folder), [ID], 'and does not block a layer')
    } finally {
      await other.kill()
    }
    assert.equal(warnings.length, 0)
    purge(folder, (message) => warnings.push(message))
    assert.deepEqual(fs.readdirSync(folder), ['x'])
    assert.match(warnings.join(), /^removed \S+\.varve~[0-9a-f]{16}, left by a process that ended/)
  }),
)

it(
  'a layer whose creation fails leaves nothing',
  withFolder(async (folder) => {
    const failing = makeWhole(folder, ID, {
      durable: true,
      fill(directory) {
        fs.mkdirSync(`${directory}/a/b`, { recursive: true })
        throw new Error('no')
      },
    })
    await assert.rejects(failing, { message: 'no' })
    assert.deepEqual(fs.readdirSync(folder), [])
  }),
)

it(
  'an error of the cleanup neither hides the first error nor keeps the lock',
  withFolder(async (folder) => {
    const kind = {
      make: (path: string) => fs.mkdirSync(path),
      remove() {
        throw new Error('not removed')
      },
    }
    const failing = (fill: () => void) => makeWhole(folder, ID, { durable: false, fill }, kind)
    await assert.rejects(
      failing(() => {
        throw new Error('no')
      }),
      { message: 'no' },
    )
    await failing(() => {})
    assert.throws(() => removeWhole(folder, ID, kind), { message: 'not removed' })
    assert.equal(fs.readdirSync(folder).length, 2)
    purge(folder, () => {})
    assert.deepEqual(fs.readdirSync(folder), [])
  }),
)

it(
  'an existing layer is not replaced, even an empty one',
  withFolder(async (folder) => {
    fs.mkdirSync(`${folder}/x`)
    const { ino } = fs.statSync(`${folder}/x`)
    await assert.rejects(makeWhole(folder, ID, { durable: false, fill: () => {} }), {
      code: 'ALREADY_EXISTS',
    })
    const racing = makeWhole(folder, parseLayerId('y'), {
      durable: false,
      fill: () => fs.mkdirSync(`${folder}/y`),
    })
    await assert.rejects(racing, { code: 'ALREADY_EXISTS' })
    assert.equal(fs.statSync(`${folder}/x`).ino, ino)
    assert.deepEqual(fs.readdirSync(folder).sort(), ['x', 'y'])
  }),
)

it(
  'a layer is removed whatever its modes are, and symlinks in it are not followed',
  withFolder((folder) => {
    fs.mkdirSync(`${folder}/x/locked`, { recursive: true })
    fs.mkdirSync(`${folder}/kept`)
    fs.writeFileSync(`${folder}/kept/file`, '')
    fs.symlinkSync('../kept', `${folder}/x/link`)
    fs.writeFileSync(`${folder}/x/locked/file`, '')
    fs.chmodSync(`${folder}/x/locked`, 0)
    removeWhole(folder, ID)
    removeWhole(folder, ID)
    assert.deepEqual((fs.readdirSync(folder, { recursive: true }) as string[]).sort(), ['kept', 'kept/file'])
  }),
)
