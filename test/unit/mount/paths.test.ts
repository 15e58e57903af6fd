/**
 * A root is opened by another path than the one that a layer was mounted by: the mount is known and stays, without a
 * warning.
 */
import assert from 'node:assert/strict'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openNamespace } from '../../support/namespace.js'
import { CLI } from '../../support/varve.js'
import { type Bench, mountsBelow, onBench, problems, refusal, run, whySkip } from './bench.js'

interface Way {
  readonly title: string
  /** Returns the other path. */
  readonly to: (bench: Bench) => string
  /** The new path of a mount that was at `place`. */
  readonly moved?: (place: string) => string
  readonly back?: (bench: Bench) => void
}

const other = ({ folder }: Bench) => join(folder, 'other')

const bind =
  (...options: readonly string[]): Way['to'] =>
  (bench) => {
    mkdirSync(other(bench), { mode: 0o700 })
    run('mount', ...options, bench.root, other(bench))
    return other(bench)
  }

const WAYS: readonly Way[] = [
  { title: 'a bind mount with shared propagation', to: bind('--bind') },
  { title: 'a recursive bind mount, which shows the mount a second time', to: bind('--rbind') },
  {
    title: 'a private bind mount',
    to(bench) {
      const path = bind('--bind')(bench)
      run('mount', '--make-private', path)
      return path
    },
  },
  {
    title: 'mv',
    to(bench) {
      renameSync(bench.root, other(bench))
      return other(bench)
    },
    moved: (place) => place.replace('/root/', '/other/'),
    back: (bench) => renameSync(other(bench), bench.root),
  },
  {
    title: 'a symlink',
    to(bench) {
      symlinkSync('root', other(bench))
      return other(bench)
    },
  },
]

for (const driver of ['overlay', 'vfs', 'btrfs']) {
  for (const { title, to, moved = (place: string) => place, back } of WAYS) {
    test(`${driver}: a root reached by ${title}`, { skip: whySkip(driver) }, () =>
      onBench(driver, async (bench) => {
        const first = await bench.open(bench.root)
        const place = await bench.mountWork(first.store)
        const file = openSync(join(place, 'late'), 'w')
        try {
          const path = to(bench)
          const { store, warnings } = await bench.open(path)
          assert.deepEqual(await problems(store), [])
          assert.deepEqual(warnings, [])
          assert.deepEqual(store.layer('work').mounts, [moved(place)])
          assert.equal(readFileSync(join(moved(place), 'file'), 'utf8'), 'kept\n')
          await assert.rejects(store.commit('work'), refusal(/is mounted at .*unmount it first/))
          assert.equal((await store.mount('work')).path, moved(place), 'the same mount is counted again')
          await store.unmount('work')
          await assert.rejects(store.unmount('work'), refusal(/files are still open there/))
          writeSync(file, 'late\n')
        } finally {
          closeSync(file)
        }
        back?.(bench)
        const { store, warnings } = await bench.open(bench.root)
        await store.unmount('work')
        assert.deepEqual(warnings, [])
        for (const target of mountsBelow(other(bench))) run('umount', '-l', target)
        const { layer } = await store.commit('work')
        const chunks: Uint8Array[] = []
        for await (const chunk of store.read(layer.id, '/late')) chunks.push(chunk)
        assert.equal(Buffer.concat(chunks).toString(), 'late\n')
        assert.deepEqual(await problems(store), [])
      }),
    )
  }

  test(`${driver}: a root in a namespace with private mounts`, { skip: whySkip(driver) }, () =>
    onBench(driver, async (bench) => {
      // The namespace is older than the mount, and so does not see it.
      const shell = openNamespace()
      try {
        const { store } = await bench.open(bench.root)
        await shell.say('true')
        const place = await bench.mountWork(store)
        const varve = `${process.execPath} ${CLI} --root ${bench.root}`
        assert.equal(await shell.say(`[ -e ${place}/file ] || ${varve} check`), 'all is well')
        assert.match(await shell.say(`${varve} commit work || echo refused`), /is mounted at .*refused/s)
        assert.ok(existsSync(join(place, 'file')), 'it is still mounted')
        await store.unmount('work')
      } finally {
        await shell.end()
      }
    }),
  )
}
