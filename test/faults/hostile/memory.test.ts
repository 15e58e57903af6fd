/** The commands that import and show an image take 200 MiB of memory at most, whatever its names and documents. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { END, file, header, pax } from '../../support/tar-bytes.js'
import { dockerContent, imageOf, tarOf } from '../../unit/formats/build.js'
import { countCases, sized } from '../size.js'

const MOST = 200 << 20
const MAIN = new URL('../../../cli/main.js', import.meta.url).pathname
/** Prints the process's peak memory in KiB, as the last word on standard error. */
const TELL =
  'data:text/javascript,process.on("exit",()=>process.stderr.write(String.fromCharCode(10)+process.resourceUsage().maxRSS))'

const layer = Buffer.concat([file('hello', 'hi\n'), END])
const tags = Array.from({ length: 150_000 }, (_, at) => `t:${at}`)
const large = imageOf([layer], { pad: 'x'.repeat(8 << 20) })

const IMAGES: readonly (readonly [title: string, archive: () => Buffer, reference: string])[] = [
  ['150,000 tags', () => tarOf(dockerContent([{ ...imageOf([layer]), tags }])), 't:5'],
  ['a config of more than 8 MiB', () => tarOf(dockerContent([{ ...large, tags: ['large:1'] }])), 'large:1'],
]

for (const [title, archive, reference] of IMAGES) {
  test(`an image with ${title} takes no command more than 200 MiB`, (t) => {
    const place = placeFor(t)
    const source = join(place, 'image.tar')
    writeFileSync(source, archive())
    requireLittle(t, place, [`import ${source}`, 'images', 'tree', 'tree --json', `inspect ${reference}`])
  })
}

interface LayerCase {
  readonly title: string
  readonly count: number
  readonly entry: (at: number) => Buffer
}

const LAYERS: readonly LayerCase[] = [
  {
    title: 'directories',
    count: sized(60_000, 300_000),
    entry: (at) =>
      header({ name: `${'a-name-of-some-length'.repeat(3)}${at >> 10}/${at}/`, type: '5', mode: 0o755 }),
  },
  {
    title: 'files in directories that no entry names',
    count: sized(40_000, 100_000),
    entry: (at) => file(`${at}/b/c/f`, ''),
  },
  { title: 'files in one directory', count: sized(20_000, 300_000), entry: (at) => file(`f${at}`, '') },
  {
    title: 'files below deep directories',
    count: sized(1_000, 20_000),
    entry: (at) => Buffer.concat([pax([['path', deep(at)]]), file('f', '')]),
  },
]

for (const { title, count, entry } of LAYERS) {
  test(`a layer of ${count} ${title} takes no command more than 200 MiB`, (t) => {
    const place = placeFor(t)
    const [source, out] = [join(place, 'layer.tar'), join(place, 'out.tar')]
    const fd = openSync(source, 'w')
    for (let at = 0; at < count; at++) writeSync(fd, entry(at))
    writeSync(fd, END)
    closeSync(fd)
    requireLittle(t, place, [
      `import --layer ${source}`,
      'check --data',
      'layers',
      `export --layer LAYER -o ${out}`,
    ])
  })
}

/** A path of 3 KB. */
function deep(at: number): string {
  return `${`${at}${'q'.repeat(200)}/`.repeat(15)}f`
}

function placeFor(t: TestContext): string {
  const place = mkdtempSync(join(tmpdir(), 'varve-memory-'))
  t.after(() => rmSync(place, { recursive: true, force: true }))
  return place
}

/** Runs the commands on a store in `place`; LAYER is what the first one printed. */
function requireLittle(t: TestContext, place: string, commands: readonly string[]): void {
  const begin = ['--import', TELL, MAIN, '--root', join(place, 'root'), '--driver', 'vfs']
  let first: string | undefined
  for (const words of commands) {
    const all = [...begin, ...words.replace('LAYER', first ?? '').split(' ')]
    const { status, stdout, stderr } = spawnSync(process.execPath, all, {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['ignore', first === undefined ? 'pipe' : 'ignore', 'pipe'],
    })
    assert.equal(status, 0, `${words}: ${stderr.slice(0, 500)}`)
    first ??= stdout.trim().split('\n').at(-1) ?? ''
    const peak = Number(stderr.slice(stderr.lastIndexOf('\n'))) * 1024
    t.diagnostic(`${words.split(' ')[0]}: ${(peak / 2 ** 20).toFixed(0)} MiB`)
    assert.ok(peak > 0 && peak <= MOST, `${words}: ${peak} bytes`)
  }
  countCases(t, commands.length)
}
