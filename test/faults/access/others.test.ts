/**
 * Another user of the machine can't access a store, not even during an import, with mounted layers and running services. The
 * root bars the way; and below it, what varve itself created is closed to others too.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { withClient } from '../../serve/containerd/snapshot-client.js'
import { dockerClient } from '../../serve/docker/client.js'
import { startServing } from '../../serve/serving.js'
import { until } from '../../serve/until.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { CLI, varveAt } from '../../support/varve.js'
import { dockerContent, imageOf, tarOf } from '../../unit/formats/build.js'
import { countCases } from '../size.js'

const USER = 65_534
/** Prints those of the given paths that the user can see, read or write. */
const REACHED = `while IFS= read -r path; do
  if [ -e "$path" ] || [ -L "$path" ] || [ -r "$path" ] || [ -w "$path" ]; then printf '%s\\n' "$path"; fi
done`

it('another user can read nothing below a root, whatever goes on there, and can connect to no socket', {
  skip: NEEDS_ROOT,
}, async (t) => {
  const work = fs.mkdtempSync(join(tmpdir(), 'vs-'))
  fs.chmodSync(work, 0o755)
  // varve sets the modes of its files itself, whatever the umask.
  const umask = process.umask(0)
  const closers: (() => unknown)[] = [() => fs.rmSync(work, { recursive: true }), () => process.umask(umask)]
  try {
    const roots = ['docker', 'containerd'].map((engine) => join(work, engine))
    const [docker = '', containerd = ''] = roots
    const sockets: string[] = []
    for (const root of roots) {
      const engine = root === docker ? 'docker' : 'containerd'
      const [socket, metrics] = [`${root}.sock`, `${root}-metrics.sock`]
      const args = ['--metrics', metrics]
      const service = await startServing(engine, { root, driver: 'overlay', socket, args })
      closers.push(() => service.end('SIGTERM'))
      sockets.push(socket, metrics)
    }
    const varve = varveAt(docker, 'overlay')
    const archive = join(work, 'app.tar')
    const layers = [tarOf({ a: 'a' }), tarOf({ b: Buffer.alloc(1 << 20, 'b') })]
    fs.writeFileSync(archive, tarOf(dockerContent([{ ...imageOf(layers), tags: ['app:1'] }])))
    await varve.varve('import', archive)
    const client = dockerClient(`${docker}.sock`)
    await client.done('CreateReadWrite', { ID: 'rw' })
    const mounted = await client.get('rw')
    closers.push(() => client.done('Put', { ID: 'rw' }))
    fs.writeFileSync(join(mounted, 'open'), 'open to all', { mode: 0o666 })
    await withClient(`${containerd}.sock`, {}, (asking) => asking.call('Prepare', { key: 'a', parent: '' }))

    // An import whose source stalls in the middle.
    const fifo = join(work, 'fifo')
    execFileSync('mkfifo', [fifo])
    const importing = spawn(process.execPath, [CLI, '--root', docker, 'import', fifo], { stdio: 'ignore' })
    const ended = once(importing, 'close')
    const source = await fs.promises.open(fifo, 'w')
    closers.push(async () => {
      await source.close()
      importing.kill('SIGKILL')
      await ended
    })
    await source.write(fs.readFileSync(archive).subarray(0, 1 << 20))
    // The import's temporary copy is unlinked, but its descriptor still shows the folder.
    const fds = `/proc/${importing.pid}/fd`
    const spooled = () =>
      fs.readdirSync(fds).some((fd) => {
        const path = join(fds, fd)
        return fs.readlinkSync(path).startsWith(join(docker, 'tmp')) && fs.statSync(path).size > 1 << 16
      })
    await until('the import has read some of it', async () => assert.ok(spooled()))

    const paths = roots.flatMap(below)
    for (const name of ['varve.db', 'varve.db-wal', 'tmp', 'mnt', 'locks', 'records', 'overlay'])
      assert.ok(paths.includes(join(docker, name)), name)
    assert.ok(paths.includes(join(mounted, 'open')))
    assert.deepEqual(asUser([archive]), [archive], 'a file that is open to all is found')
    const beneath = paths.filter((path) => !roots.includes(path))
    assert.deepEqual(asUser(beneath), [])
    for (const path of sockets) {
      assert.equal(fs.statSync(path).mode & 0o7777, 0o600, path)
      assert.equal(fs.statSync(path).uid, 0, path)
    }
    const shown = paths.filter((path) => isOurs(path, mounted) && (fs.lstatSync(path).mode & 0o077) !== 0)
    assert.deepEqual(shown, [], 'open to others, except that the root bars the way')
    countCases(t, paths.length + sockets.length)
  } finally {
    for (const close of closers.reverse()) await close()
  }
})

/** Those of the paths that the user can access. */
function asUser(paths: readonly string[]): readonly string[] {
  const words = [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', 'sh', '-c', REACHED]
  const { stdout, status, stderr } = spawnSync('setpriv', words, {
    input: paths.map((path) => `${path}\n`).join(''),
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  return stdout.split('\n').filter(Boolean)
}

/** The directory and all paths below it, including those in mounts. */
function below(directory: string): readonly string[] {
  return execFileSync('find', [directory], { encoding: 'utf8' }).split('\n').filter(Boolean)
}

/** Excludes the content of layers and the sentinel that detects copies, whose modes are given. */
function isOurs(path: string, mounted: string): boolean {
  return (
    !/\/overlay\/[^/]+\/(diff|work)(\/|$)|\/sentinel~|\/overlay\/l\//.test(path) && !path.startsWith(mounted)
  )
}
