/**
 * `npm run demo [-- image.tar]`: the main use of varve on a real image, as one would type it. Root gets overlay or another
 * driver that the probe chooses, other users vfs. Nothing of it stays: the data root is a temporary directory.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { debianImage } from '../fixtures/debian.js'
import { writeSmallImage } from '../fixtures/small.js'
import { readImages } from './support/archive.js'
import { CLI } from './support/varve.js'

const LINES_SHOWN = 14

/** The probe chooses the driver, so that the demo shows what works on this machine. */
async function demo(given: string | undefined, work: string): Promise<void> {
  const archive = given ?? (await makeImage(work))
  const root = join(work, 'root')
  process.env.VARVE_ROOT = root
  process.env.VARVE_DRIVER = process.getuid?.() === 0 ? 'overlay' : 'vfs'
  mkdirSync(root, { mode: 0o700 })
  const originals = readImages(archive, join(work, 'original'))
  console.log(`VARVE_ROOT=${root} VARVE_DRIVER=${process.env.VARVE_DRIVER}`)

  title('Import a real image')
  varve('driver', 'ls')
  varve('import', archive)
  const [first] = varveLines(['images', '--json']).map((line) => JSON.parse(line) as Listed)
  if (first === undefined) throw new Error('the import brought no image')
  const image = first.names[0] ?? first.id
  const original = originals.find(({ id }) => `sha256:${id}` === first.id)
  if (original === undefined) throw new Error(`${first.id} is not in ${archive}`)
  varve('images')
  varve('tree')

  title('Look into it, without a mount')
  const top = first.layers.length - 1
  varve('ls', image, '/etc')
  varve('ls', '-R', `${image}#${top}`)
  const file = ['/etc/os-release', '/etc/motd'].find((path) => quiet(['cat', image, path]).status === 0)
  if (file !== undefined) varve('cat', image, file)

  title('Show what the last layer changed')
  varve('diff', `${image}#${top}`)
  varve('diff', `${image}#${top}`, '--stat')

  title('Make a writable layer on it')
  varve('create', '--parent', image, '--id', 'work')
  changeThroughMount()
  varve('diff', 'work')
  varve('diff', 'work', '--content')
  varve('commit', 'work', '--name', 'demo:1')
  varve('tree')
  varve('diff', image, 'demo:1')

  title('Export it: the layers are the imported bytes')
  const out = join(work, 'exported.tar')
  varve('export', image, '-o', out, '--format', 'oci-archive', '--compress', 'gzip')
  const [exported] = readImages(out, join(work, 'exported'))
  let same = exported?.id === original.id
  original.layers.forEach((digest, i) => {
    const leaving = exported?.layers[i]
    same &&= digest === leaving
    console.log(
      `layer ${i}  imported ${digest}\n         exported ${leaving}  ${digest === leaving ? '✔' : '✖'}`,
    )
  })
  varve('check', '--data')
  if (!same) throw new Error('the exported image differs from the imported one')
  console.log(`\n✔ ${original.layers.length} layers and the config are byte-identical`)
}

interface Listed {
  readonly id: string
  readonly names: readonly string[]
  readonly layers: readonly string[]
}

/** An image of Debian packages if apt can fetch them, else a small image made in code. */
async function makeImage(work: string): Promise<string> {
  try {
    return await debianImage()
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n').slice(0, 2).join(' ') : String(error)
    console.log(`no Debian packages here (${reason}), so the demo uses a small image made in code`)
    const file = join(work, 'small.tar')
    await writeSmallImage(file)
    return file
  }
}

/** Prints a command and its output, and returns the output; a failure ends the demo. */
function varve(...args: string[]): string {
  console.log(`\n$ varve ${args.map(quote).join(' ')}`)
  const { status, stdout, stderr } = quiet(args)
  const lines = stdout.trimEnd().split('\n')
  if (stdout !== '') console.log(lines.slice(0, LINES_SHOWN).join('\n'))
  if (lines.length > LINES_SHOWN) console.log(`… and ${lines.length - LINES_SHOWN} lines more`)
  if (stderr !== '') console.log(stderr.trimEnd())
  if (status !== 0) throw new Error(`varve ${args[0]} ended with ${status}`)
  return stdout
}

function varveLines(args: readonly string[]): string[] {
  const { status, stdout, stderr } = quiet(args)
  if (status !== 0) throw new Error(`varve ${args.join(' ')}: ${stderr}`)
  return stdout.split('\n').filter(Boolean)
}

function quiet(args: readonly string[]) {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 })
}

/** Any user may mount in a user namespace, so the same lines work without root. */
function changeThroughMount(): void {
  const own = process.getuid?.() === 0 ? [] : ['unshare', '--map-root-user', '--mount']
  if (own.length > 0) console.log(`\n$ ${own.join(' ')} sh`)
  const lines = [
    'place=$(varve mount work)',
    'mkdir -p "$place/etc"; echo "written in the demo" > "$place/etc/varve"',
    'chmod 0700 "$place/etc"',
    'rm -rf "$place/usr/share/zoneinfo" "$place/srv/data"',
    'varve umount work',
  ]
  const run = lines.map((line) => `echo '$ ${line}'\n${line}`)
  const script = [`varve() { "$0" '${CLI}' "$@"; }`, 'echo', ...run].join('\n')
  const [command = 'sh', ...args] = [...own, 'sh', '-ec', script, process.execPath]
  execFileSync(command, args, { stdio: 'inherit' })
}

function title(text: string): void {
  console.log(`\n── ${text} ${'─'.repeat(Math.max(0, 90 - text.length))}`)
}

function quote(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word}'`
}

const given = process.argv[2]
if (given !== undefined && !existsSync(given)) {
  console.error(`demo: there is no ${given}`)
  process.exitCode = 1
} else {
  const work = mkdtempSync(join(tmpdir(), 'varve-demo-'))
  try {
    await demo(given === undefined ? undefined : resolve(given), work)
  } finally {
    spawnSync(process.execPath, [CLI, 'umount', 'work'], { stdio: 'ignore' })
    rmSync(work, { recursive: true, force: true })
  }
}
