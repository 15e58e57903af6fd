/** Copies of a root by the usual tools: if a copy lost something, `check` says so, what it lost, and what to do. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openStore } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { whyNoEngine } from '../../serve/cells.js'
import { collect } from '../../support/collect.js'
import { CELLS, checked, onStage } from './stage.js'

interface Copy {
  readonly line: string
  /** What the check of the copy must report; undefined for a copy that loses nothing. */
  readonly lost: RegExp | undefined
}

const COPIES: readonly Copy[] = [
  { line: 'cp -a "$FROM" "$TO"', lost: undefined },
  {
    line: 'tar -C "$FROM" --xattrs --xattrs-include="*" --acls --sparse --numeric-owner --format=posix -c . | tar -C "$TO" --xattrs --xattrs-include="*" --acls --sparse --numeric-owner -xp',
    lost: undefined,
  },
  {
    line: 'tar -C "$FROM" -c . | tar -C "$TO" -xp',
    lost: /trusted\.\* attributes.*user\.\* attributes.*times to the nanosecond/,
  },
  {
    line: 'cp -r "$FROM" "$TO"',
    lost: /owners by number, modes with setuid bits, times to the nanosecond, hard links/,
  },
  { line: 'rsync -a "$FROM/" "$TO"', lost: /trusted\.\* attributes.*hard links/ },
  { line: 'rsync -aHAXS --numeric-ids "$FROM/" "$TO"', lost: undefined },
]

const COMMANDS = [...new Set(COPIES.map(({ line }) => line.slice(0, line.indexOf(' '))))]

for (const cell of CELLS.filter(({ driver }) => driver !== 'btrfs')) {
  test(
    `${cell.driver}: a copy of the root that lost attributes is reported, with what it lost`,
    { skip: whyNoEngine(cell, COMMANDS) },
    () =>
      onStage(cell, async ({ store, place, archive }) => {
        const work = await store.create({ id: 'work', parent: 'varve.test/damage:1' })
        const { path } = await store.mount(work.id)
        unlinkSync(join(path, 'srv/middle'))
        writeFileSync(join(path, 'etc/own'), 'own')
        await store.unmount(work.id)
        await store.close()
        for (const [number, { line, lost }] of COPIES.entries()) {
          const to = join(place, `copy-${number}`)
          if (!line.startsWith('cp')) mkdirSync(to, { mode: 0o700 })
          execFileSync('sh', ['-c', line], { env: { ...process.env, FROM: join(place, 'root'), TO: to } })
          const copy = await openStore({ root: to, drivers })
          try {
            const quick = await checked(copy, {})
            if (lost === undefined) {
              assert.equal(quick.words, '', line)
              assert.equal((await checked(copy)).words, '', line)
              continue
            }
            assert.match(quick.words, lost, line)
            assert.match(
              quick.words,
              /root-copy: .*deleted files may show again.* work\..*rsync -aHAXS --numeric-ids/,
              line,
            )
            // Its images can be healed; layers without a digest are left to a person to accept.
            await collect(copy.repair({ from: archive }))
            assert.deepEqual((await checked(copy)).names, ['root-copy'], line)
            assert.deepEqual(
              (await checked(copy, { repair: true })).names,
              ['root-copy'],
              `${line}: without data`,
            )
            assert.deepEqual((await checked(copy, { data: true, repair: true })).names, ['root-copy'], line)
            assert.equal((await checked(copy)).words, '', `${line}: accepted`)
          } finally {
            await copy.close()
          }
        }
      }),
  )
}
