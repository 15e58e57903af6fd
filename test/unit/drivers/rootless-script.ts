/** The process that rootless.test.ts runs as a user other than root: layers on vfs, written without a mount. */

import * as fs from 'node:fs'
import type { Driver } from '../../../core/driver.js'
import { type LayerId, parseLayerId } from '../../../core/ids.js'
import { createTarPacker } from '../../../core/tar/pack.js'
import { createChannel, pump } from '../../../core/threads/channel.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { createDriverState } from '../../conformance/driver-state.js'

const [, , folder = ''] = process.argv
const home = `${folder}/home`
const scratch = `${folder}/scratch`
fs.mkdirSync(scratch)
const [base, child, twin] = ['base', 'child', 'twin'].map(parseLayerId)
if (base === undefined || child === undefined || twin === undefined) throw new Error('no ids')

const driver = await vfs.open({
  home,
  options: new Map(),
  parentOf: (id) => (id === base ? undefined : base),
  state: createDriverState(),
  warn() {},
})
await driver.create(base, { writable: false })
const { notices } = await apply(driver, base, baseTar())
await driver.create(child, { parent: base, writable: true })
const [mount] = await driver.get(child, { readonly: false })
edit(mount?.source ?? '')
const changes: string[] = []
for await (const { kind, path } of driver.changes(child)) changes.push(`${kind} ${path}`)
const tar = await read(driver.diff(child))
await driver.create(twin, { parent: base, writable: false })
await apply(driver, twin, tar)
const again = tar.equals(await read(driver.diff(twin)))
for (const id of [child, twin, base]) await driver.remove(id)
console.log(JSON.stringify({ changes, again, notices, left: fs.readdirSync(`${home}/dir`) }))

/** A tar with owners and a device that such a user can't create, and a directory whose mode locks its owner out. */
function baseTar(): Buffer {
  const chunks: Buffer[] = []
  const packer = createTarPacker((bytes) => chunks.push(Buffer.from(bytes)))
  const common = {
    uid: 0,
    gid: 0,
    uname: '',
    gname: '',
    size: 0,
    stored: 0,
    mtime: { sec: 1000, nsec: 5 },
    linkname: '',
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map<string, string>(),
  }
  packer.entry({ ...common, path: 'dir/', type: 'directory', mode: 0o755 })
  packer.entry({ ...common, path: 'dir/file', type: 'file', mode: 0o400, size: 5, stored: 5 })
  packer.payload(Buffer.from('hello'))
  packer.entry({ ...common, path: 'gone', type: 'symlink', mode: 0o777, linkname: 'x' })
  packer.entry({ ...common, path: 'locked/', type: 'directory', mode: 0o500 })
  packer.entry({ ...common, path: 'locked/file', type: 'file', mode: 0o600 })
  packer.entry({ ...common, path: 'null', type: 'char', mode: 0o666, devMajor: 1, devMinor: 3 })
  packer.end()
  return Buffer.concat(chunks)
}

function edit(root: string): void {
  fs.chmodSync(`${root}/dir/file`, 0o600)
  fs.appendFileSync(`${root}/dir/file`, ', world')
  fs.writeFileSync(`${root}/dir/new`, '')
  fs.linkSync(`${root}/dir/new`, `${root}/linked`)
  fs.unlinkSync(`${root}/gone`)
}

async function apply(driver: Driver, id: LayerId, tar: Buffer) {
  const { sink, channel } = createChannel()
  const source = (async function* () {
    yield tar
  })()
  const [applied] = await Promise.all([driver.apply(id, channel, { scratch }), pump(source, sink)])
  return applied
}

async function read(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}
