/**
 * The engine features of Docker 1.7, each tested by its effect and not by its exit status, on whatever storage the engine
 * has. Needs an engine with its own networks, started with `FEATURE_WORDS`.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lines } from '../../../support/text-lines.js'
import { IMAGE } from '../../busy-image.js'
import type { Docker } from '../engine.js'
import { openVolumePlugin } from '../volume-plugin.js'
import { ALONE, asking, type Stage, withStage } from './stage.js'

export interface Feature {
  readonly name: string
  /** Uses the feature, and throws where it does not have its effect. */
  run(stage: Stage): Promise<void>
  /** For a feature that some kernels lack: the engine's message then, and whether this kernel does lack it. */
  readonly lacking?: { readonly words: RegExp; isSo(): boolean }
}

export interface FeatureOutcome {
  readonly result: 'passed' | 'failed' | 'impossible'
  /** The engine's message where it is impossible, the whole error where it failed. */
  readonly reason?: string
}

/** Arguments for dockerd. */
export const FEATURE_WORDS = ['--userland-proxy=false'] as const

/** `work` is an empty directory for the feature's files. */
export async function tryFeature(feature: Feature, engine: Docker, work: string): Promise<FeatureOutcome> {
  try {
    await withStage(engine, work, feature.run)
    return { result: 'passed' }
  } catch (error) {
    const { lacking } = feature
    const said = lacking?.isSo() ? lacking.words.exec(String(error))?.[0] : undefined
    if (said !== undefined) return { result: 'impossible', reason: said }
    return { result: 'failed', reason: (error instanceof Error && error.stack) || String(error) }
  }
}

export const FEATURES: readonly Feature[] = [
  { name: '`docker exec --user`', run: execUser },
  { name: '`docker logs --since`', run: logsSince },
  { name: '`docker run --cpu-quota`', run: cpuQuota },
  {
    name: '`docker run --blkio-weight`',
    run: blkioWeight,
    // cgroup v1 lost the file together with the CFQ scheduler, in Linux 5.0.
    lacking: {
      words: /Your kernel does not support Block I\/O weight or the cgroup is not mounted/,
      isSo: () => !existsSync('/sys/fs/cgroup/blkio/blkio.weight'),
    },
  },
  { name: '`docker run --uts=host`', run: utsHost },
  { name: '`dockerd --userland-proxy=false`, `docker run --publish`', run: publish },
  { name: '`docker network create`, `connect`, `disconnect`', run: networks },
  { name: 'a service reached by name', run: byName },
  { name: '`docker run --volume-driver` with a plug-in', run: volumeDriver },
]

/** A user by name, by number, and with a group. New files are the user's, and root's files are closed to the user. */
async function execUser({ docker, start }: Stage): Promise<void> {
  const container = await start(ALONE, ['sleep', '1000'])
  const as = (user: string, script: string) => docker('exec', '--user', user, container, 'sh', '-c', script)
  const whoAmI = 'echo $(busybox id -u):$(busybox id -g)'
  assert.equal(await docker('exec', container, 'sh', '-c', whoAmI), '0:0\n')
  assert.equal(await as('user', whoAmI), '1000:1000\n')
  assert.equal(await as('1000:7', whoAmI), '1000:7\n')
  assert.equal(await as('4321', 'touch /tmp/mine; stat -c %u:%g /tmp/mine'), '4321:0\n')
  await assert.rejects(as('user', 'echo x > /srv/one'), /Permission denied/)
  await assert.rejects(as('nobody', whoAmI), /unable to find user nobody/)
}

/** The container logs a line at each start, with a counter that it keeps in its layer. */
async function logsSince({ docker, start }: Stage): Promise<void> {
  const container = await start(ALONE, ['sh', '-c', 'echo x >> /starts; busybox wc -l < /starts'])
  await docker('wait', container)
  assert.equal(await docker('start', '--attach', container), '2\n')
  assert.equal(await docker('start', '--attach', container), '3\n')
  const logged = lines(await docker('logs', '--timestamps', container))
  const moments = logged.map((line) => line.split(' ')[0] ?? '')
  for (const [i, said] of ['1\n2\n3\n', '2\n3\n', '3\n'].entries()) {
    assert.equal(await docker('logs', '--since', moments[i] ?? '', container), said)
  }
}

/** The kernel has the quota, and throttles a busy loop. */
async function cpuQuota({ docker }: Stage): Promise<void> {
  const script = `cd /sys/fs/cgroup
if test -d cpu; then cd cpu; cat cpu.cfs_quota_us; else cat cpu.max; fi
until busybox grep -q 'nr_throttled [1-9]' cpu.stat; do :; done`
  const said = await docker('run', '--rm', ...ALONE, '--cpu-quota', '10000', IMAGE, 'sh', '-c', script)
  assert.match(said, /^10000( 100000)?\n$/)
}

/** Reads whichever file the kernel has; the weight of cgroup v2 goes from 1 to 10,000. */
async function blkioWeight({ engine }: Stage): Promise<void> {
  const script = `cd /sys/fs/cgroup
cat blkio/blkio.weight blkio/blkio.bfq.weight io.bfq.weight io.weight 2>/dev/null; true`
  const words = ['run', '--rm', ...ALONE, '--blkio-weight', '300', IMAGE, 'sh', '-c', script]
  const said = await engine.dockerWith(words, {})
  assert.match(said, /^(default )?(300|2930)$/m, said)
}

/** The container shares the host name of the world, which is not the machine's; setting it in one sets it in both. */
async function utsHost({ docker, engine }: Stage): Promise<void> {
  const outside = () => engine.inside('hostname')
  const inside = (...words: readonly string[]) => docker('run', '--rm', ...ALONE, ...words)
  const ask = [IMAGE, 'busybox', 'hostname'] as const
  assert.equal(await inside('--uts=host', ...ask), await outside())
  assert.equal(await inside('--hostname', 'other', ...ask), 'other\n')
  await inside('--uts=host', '--cap-add', 'SYS_ADMIN', ...ask, 'renamed')
  assert.equal(await outside(), 'renamed\n')
}

/**
 * A port is reached from the host, and from another container by way of the host, through kernel rules alone, without a
 * proxy.
 */
async function publish({ docker, engine, network, serve }: Stage): Promise<void> {
  // In the world, which has its own network namespace.
  const fetched = () => {
    const program = 'process.stdout.write(await (await fetch("http://127.0.0.1:8080/")).text())'
    return engine.inside(process.execPath, '--input-type=module', '-e', program)
  }
  await network('street', '--subnet', '10.91.0.0/24', '--gateway', '10.91.0.1')
  const container = await serve('published', ['--network', 'street', '--publish', '8080:80'])
  assert.equal(await fetched(), 'published\n')
  const neighbour = ['run', '--rm', '--network', 'street', IMAGE]
  assert.equal(await docker(...neighbour, ...asking('http://10.91.0.1:8080/')), 'published\n')
  const processes = lines(await engine.inside('sh', '-c', 'cat /proc/[0-9]*/comm 2>/dev/null; true'))
  assert.ok(processes.includes('dockerd'), processes.join())
  assert.ok(!processes.includes('docker-proxy'), processes.join())
  await docker('kill', container)
  await assert.rejects(fetched(), /ECONNREFUSED/)
}

/** A container in one network, then in two, then only in the second: its addresses, and who can reach it. */
async function networks({ docker, network, serve }: Stage): Promise<void> {
  await network('near', '--subnet', '10.91.1.0/24')
  await network('far', '--subnet', '10.91.2.0/24')
  const container = await serve('both', ['--network', 'near', '--ip', '10.91.1.5'])
  const addresses = async () => {
    const said = await docker('exec', container, 'busybox', 'ip', '-o', '-4', 'addr')
    return [...said.matchAll(/inet (10\.\S+)/g)].map(([, address]) => address)
  }
  const seenFrom = (name: string, address: string) =>
    docker('run', '--rm', '--network', name, IMAGE, ...asking(`http://${address}/`))
  assert.deepEqual(await addresses(), ['10.91.1.5/24'])
  await docker('network', 'connect', '--ip', '10.91.2.5', 'far', container)
  assert.deepEqual(await addresses(), ['10.91.1.5/24', '10.91.2.5/24'])
  assert.equal(await seenFrom('near', '10.91.1.5'), 'both\n')
  assert.equal(await seenFrom('far', '10.91.2.5'), 'both\n')
  await docker('network', 'disconnect', 'near', container)
  assert.deepEqual(await addresses(), ['10.91.2.5/24'])
}

/** A service is reached by its container's name, and by an alias that its next container takes over. */
async function byName({ docker, network, start, serve }: Stage): Promise<void> {
  await network('street')
  const client = await start(['--network', 'street'], ['sleep', '1000'])
  for (const name of ['first', 'second']) {
    const shop = await serve(name, ['--network', 'street', '--name', name, '--network-alias', 'shop'])
    for (const host of [name, 'shop']) {
      assert.equal(await docker('exec', client, ...asking(`http://${host}/`)), `${name}\n`)
    }
    await docker('kill', shop)
  }
}

/** Containers read and write the plug-in's files. A volume is mounted only while a container uses it. */
async function volumeDriver({ after, docker, engine, start, work }: Stage): Promise<void> {
  const socket = join(work, 'shelf.sock')
  const plugin = await openVolumePlugin(socket, join(work, 'volumes'))
  after(() => plugin.close())
  await engine.inside('mkdir', '-p', '/run/docker/plugins')
  await engine.inside('ln', '-s', socket, '/run/docker/plugins/shelf.sock')
  const words = [...ALONE, '--volume-driver', 'shelf', '--volume', 'box:/data']
  const run = (script: string) => docker('run', '--rm', ...words, IMAGE, 'sh', '-c', script)
  await run('echo inside > /data/inside')
  const box = plugin.directoryOf('box')
  assert.equal(readFileSync(join(box, 'inside'), 'utf8'), 'inside\n')
  writeFileSync(join(box, 'outside'), 'outside\n')
  assert.equal(await run('cat /data/inside /data/outside'), 'inside\noutside\n')
  assert.deepEqual(plugin.holders('box'), [])
  const container = await start(words, ['sleep', '1000'])
  assert.equal(plugin.holders('box').length, 1)
  await assert.rejects(docker('volume', 'rm', 'box'), /volume is in use/)
  await docker('rm', '--force', container)
  assert.deepEqual(plugin.holders('box'), [])
  assert.match(await docker('volume', 'ls', '--format', '{{.Driver}} {{.Name}}'), /^shelf box$/m)
  await docker('volume', 'rm', 'box')
  assert.ok(!existsSync(box))
}
