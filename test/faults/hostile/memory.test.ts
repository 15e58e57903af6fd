/** What an image costs the command that takes it in, and those that show it: 200 MiB of memory, whatever it is called and says. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { END, file } from '../../tar-bytes.js'
import { dockerContent, imageOf, tarOf } from '../../unit/formats/build.js'
import { countCases } from '../size.js'

const MOST = 200 << 20
const MAIN = new URL('../../../cli/main.js', import.meta.url).pathname
/** Tells the most memory that the process had, in KiB, as its last word on standard error. */
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
    const place = mkdtempSync(join(tmpdir(), 'varve-memory-'))
    t.after(() => rmSync(place, { recursive: true, force: true }))
    const source = join(place, 'image.tar')
    writeFileSync(source, archive())
    const commands = [`import ${source}`, 'images', 'tree', 'tree --json', `inspect ${reference}`]
    for (const words of commands) {
      const all = [
        '--import',
        TELL,
        MAIN,
        '--root',
        join(place, 'root'),
        '--driver',
        'vfs',
        ...words.split(' '),
      ]
      const { status, stderr } = spawnSync(process.execPath, all, {
        encoding: 'utf8',
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      assert.equal(status, 0, `${words}: ${stderr.slice(0, 500)}`)
      const peak = Number(stderr.slice(stderr.lastIndexOf('\n'))) * 1024
      t.diagnostic(`${words.split(' ')[0]}: ${(peak / 2 ** 20).toFixed(0)} MiB`)
      assert.ok(peak > 0 && peak <= MOST, `${words}: ${peak} bytes`)
    }
    countCases(t, commands.length)
  })
}
