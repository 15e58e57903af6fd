/** An image with a layer of our own that has a file of zeros: other engines load it and save it again. */
import assert from 'node:assert/strict'
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingCommands } from '../../fixtures/command.js'
import { DOCKER_COMMANDS, withDocker } from '../../fixtures/docker.js'
import { PODMAN_COMMANDS, withPodman } from '../../fixtures/podman.js'
import { readImages } from '../support/archive.js'
import { withVarve } from '../support/varve.js'

const NAME = 'varve.test/zeros:1'

/** Loads an archive, and saves the image again. */
type Passing = (archive: string, saved: string) => Promise<void>

const ENGINES: readonly {
  readonly name: string
  readonly needs: readonly string[]
  readonly pass: Passing
}[] = [
  {
    name: 'podman',
    needs: PODMAN_COMMANDS,
    pass: (archive, saved) =>
      withPodman(async ({ podman }) => {
        await podman(['load', '--quiet', '--input', archive])
        await podman(['save', '--output', saved, NAME])
      }),
  },
  {
    name: 'docker',
    needs: DOCKER_COMMANDS,
    pass: (archive, saved) =>
      withDocker(async ({ docker }) => {
        await docker(['load', '--input', archive])
        await docker(['save', '--output', saved, NAME])
      }),
  },
]

for (const { name, needs, pass } of ENGINES) {
  const missing = missingCommands(needs)
  const skip = missing.length > 0 ? `needs ${missing.join(', ')}` : false
  for (const driver of ['overlay', 'vfs']) {
    test(`A commit on ${driver} with files of zeros goes through ${name} load and save`, { skip }, () =>
      withVarve(driver, async ({ varve }, work) => {
        await varve('create', '--id', 'work')
        const place = (await varve('mount', 'work')).trim()
        writeFileSync(join(place, 'zeros'), Buffer.alloc(5 << 20))
        writeFileSync(join(place, 'hole'), 'x')
        truncateSync(join(place, 'hole'), 6 << 20)
        const fd = openSync(join(place, 'hole'), 'r+')
        writeSync(fd, 'end', 3 << 20)
        closeSync(fd)
        await varve('umount', 'work')
        await varve('commit', 'work', '--name', NAME)
        const archive = join(work, 'image.tar')
        await varve('export', NAME, '-o', archive, '--format', 'docker-archive')
        const [original] = readImages(archive, join(work, 'original'))
        const saved = join(work, 'saved.tar')
        await pass(archive, saved)
        const [again] = readImages(saved, join(work, 'again'))
        assert.deepEqual(again?.layers, original?.layers)
        assert.equal(again?.id, original?.id)
      }),
    )
  }
}
