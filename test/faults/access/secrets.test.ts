/**
 * Output for people has no secrets: values of a config (Env, labels), of labels and of options, request bodies, the password
 * and the query of a source that looks like a URL. Names and ids are not secret. Stacks are on, and logs at level debug.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { withClient } from '../../serve/containerd/snapshot-client.js'
import { dockerClient, parsed, responseOf } from '../../serve/docker/client.js'
import { type Serving, startServing } from '../../serve/serving.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { type Varve, varveAt } from '../../support/varve.js'
import { dockerContent, imageOf, tarOf } from '../../unit/formats/build.js'
import { countCases } from '../size.js'

/** Short, so that an excerpt would show all of it. */
const SECRET = 'hunter2pw'

const config = (extra: Readonly<Record<string, unknown>>) =>
  dockerContent([{ ...imageOf([tarOf({ a: 'a' })], extra), tags: ['app:1'] }])
const good = config({
  config: { Env: [`PASSWORD=${SECRET}`], Labels: { token: SECRET } },
  history: [{ created_by: `/bin/sh -c login ${SECRET}` }],
})
const [image = ''] = Object.keys(good).filter((name) => /^[0-9a-f]{64}\.json$/.test(name))

/** Archives with a secret in them; some are malformed. */
const ARCHIVES: Readonly<Record<string, Buffer>> = {
  good: tarOf(good),
  'a list of layers that is a string': tarOf(config({ rootfs: { type: 'layers', diff_ids: SECRET } })),
  'a history that is a string': tarOf(config({ history: SECRET })),
  'a platform that is not a string': tarOf(config({ os: 5, config: { Env: [SECRET] } })),
  'a config that is a string': tarOf({ ...good, [image]: JSON.stringify(SECRET) }),
  'a truncated config': tarOf({ ...good, [image]: `{"config":{"Env":["P=${SECRET}` }),
  'a config without quotes': tarOf({ ...good, [image]: `{"PASSWORD": ${SECRET}}` }),
  'a manifest without quotes': tarOf({ 'manifest.json': SECRET }),
  'an index without quotes': tarOf({ 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': SECRET }),
}

/** Arguments of commands. */
const COMMANDS: readonly (readonly string[])[] = [
  ['inspect', 'app:1', '--nothing'],
  ['create', '--id', 'one', '--label', `token=${SECRET}`],
  ['create', '--id', 'one', '--label', `token=${SECRET}`],
  ['create', '--label', `=${SECRET}`],
  ['create', '--label', `token=${SECRET.repeat(500)}`],
  ['create', '--opt', `size=${SECRET}`],
  ['create', '--opt', `color=${SECRET}`],
  ['images', '--storage-opt', `password=${SECRET}`],
  ['images', '--storage-opt', `overlay.password=${SECRET}`],
  ['images', '--storage-opt', `=${SECRET}`],
  ['import', `https://me:${SECRET}@registry.example/app.tar`],
  ['import', `https://registry.example/app.tar?token=${SECRET}`],
  ['import', '--layer', `s3://key:${SECRET}@bucket/app.tar?X-Signature=${SECRET}`],
  ['repair', '--from', `https://me:${SECRET}@registry.example/app.tar?a=b&token=${SECRET}`],
  ['export', 'app:1', '-o', `ftp://me:${SECRET}@host.example/no/such`],
  ['commit', 'one', '--name', 'app:2'],
  ['rm', 'app:1', '--force'],
  ['prune'],
  ['check', '--data'],
]

/** Requests of dockerd with a body that must not be logged. */
const REQUESTS: readonly (readonly [method: string, body: unknown])[] = [
  ['Init', { Home: '/home', Opts: [`password=${SECRET}`] }],
  ['Init', { Home: '/home', Opts: [`varve.driver=${SECRET}`] }],
  ['Init', { Home: '/home', Opts: [`varve.root=/${SECRET}`] }],
  ['Init', { Home: '/home', Opts: [SECRET.length] }],
  ['Create', { ID: 'x', StorageOpt: { size: SECRET } }],
  ['Create', { ID: 'x', StorageOpt: { password: SECRET } }],
  ['Create', { ID: 'x', StorageOpt: { size: [SECRET] } }],
  ['CreateReadWrite', { ID: 'rw' }],
  ['CreateReadWrite', { ID: 'rw', StorageOpt: { size: SECRET } }],
  ['CreateReadWrite', { ID: 'r2', MountLabel: `system_u:${SECRET}` }],
  ['Get', { ID: 'rw', MountLabel: SECRET }],
  ['Get', `{"ID": ${SECRET}}`],
  ['Get', `{"ID": "${SECRET}`],
  ['Exists', { ID: 'x', Password: SECRET }],
  ['Remove', { ID: 'rw', Token: SECRET }],
]

describe('no output for people has a secret', { skip: NEEDS_ROOT }, () => {
  let work = ''
  let varve: Varve
  before(() => {
    work = fs.mkdtempSync(join(tmpdir(), 'vs-'))
    varve = varveAt(join(work, 'root'), 'overlay')
  })
  after(() => fs.rmSync(work, { recursive: true, force: true }))

  it('printed by commands, with stacks', async (t) => {
    const archives = Object.entries(ARCHIVES).map(([name, bytes]) => {
      const file = join(work, `${name.replaceAll(' ', '-')}.tar`)
      fs.writeFileSync(file, bytes)
      return ['import', file]
    })
    const lines = [...archives, ...COMMANDS]
    for (const words of lines) {
      const { stderr } = await varve.attempt(words, { VARVE_DEBUG: '1' })
      assert.ok(!stderr.includes(SECRET), `${words.join(' ').slice(0, 200)}:\n${stderr}`)
    }
    countCases(t, lines.length)
  })

  it('logged by the service for dockerd, at level debug', (t) =>
    withService('docker', async (service) => {
      const client = dockerClient(service.socket)
      for (const [method, body] of REQUESTS) await client.call(method, body)
      const odd = client.open(`/GraphDriver.Nothing?token=${SECRET}`, { authorization: `Basic ${SECRET}` })
      const answer = responseOf(odd).then(parsed)
      odd.end(SECRET)
      await answer
      await client.done('Create', { ID: 'filled' })
      await client.applyDiff('filled', '', tarOf({ secret: SECRET }))
      await client.applyDiff('filled', '', Buffer.alloc(2048, SECRET))
      countCases(t, REQUESTS.length + 3)
    }))

  it('logged by the service for containerd, at level debug', (t) =>
    withService('containerd', (service) =>
      withClient(service.socket, {}, async (client) => {
        const labels = { token: SECRET }
        const calls: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
          ['Prepare', { key: 'a', parent: '', labels }],
          ['Prepare', { key: 'a', parent: '', labels }],
          ['Prepare', { key: 'b', parent: '', labels: { 'containerd.io/snapshot.ref': SECRET } }],
          ['Prepare', { key: 'c', parent: '', labels: { token: SECRET.repeat(500) } }],
          ['Prepare', { key: 'c', parent: '', labels: { '': SECRET } }],
          ['Update', { info: { name: 'a', labels }, updateMask: { paths: ['labels.token'] } }],
          ['Update', { info: { name: 'nobody', labels } }],
          ['Commit', { key: 'a', name: 'done', labels }],
          ['Remove', { key: 'done' }],
        ]
        for (const [method, request] of calls) await client.call(method, request).catch(() => {})
        const filters = [`labels.token==${SECRET}`, `labels.token=${SECRET}`, `labels.token~="(${SECRET}"`]
        for (const filter of filters) await client.list([filter]).catch(() => {})
        countCases(t, calls.length + filters.length)
      }),
    ))

  async function withService(engine: string, use: (service: Serving) => Promise<void>): Promise<void> {
    const root = join(work, engine)
    const service = await startServing(engine, {
      root,
      driver: 'overlay',
      socket: join(work, `${engine}.sock`),
      env: { VARVE_DEBUG: '1' },
    })
    try {
      await use(service)
    } finally {
      await service.end('SIGTERM')
    }
    assert.match(service.log(), / debug /)
    assert.ok(!service.log().includes(SECRET), service.log())
  }
})
