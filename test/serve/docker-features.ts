/**
 * The engine features of Docker 1.7, each tried for what it does and not for its exit status, on whatever storage the engine
 * has. Needs an engine with a own networks, started with `FEATURE_WORDS`.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './containerd-engine.js'
import type { Docker } from './docker-engine.js'
import { IMAGE } from './docker-image.js'
import { openVolumePlugin } from './volume-plugin.js'

export interface Stage {
  readonly docker: Docker
  /** An empty directory, which the engine sees too. */
  readonly work: string
}

export interface Feature {
  readonly name: string
  /** Uses it, and throws where that does not have the effect it should have. */
  run(stage: Stage): Promise<void>
  /** For a kernel that lacks what it needs: the engine's words then, and whether the kernel lacks it indeed. */
  readonly lacking?: { readonly words: RegExp; isSo(): boolean }
}

export interface FeatureOutcome {
  readonly result: 'passed' | 'failed' | 'impossible'
  /** The engine's words where it is impossible, all that is known where it failed. */
  readonly reason?: string
}

/** For dockerd. */
export const FEATURE_WORDS = ['--userland-proxy=false'] as const

export async function tryFeature({ run, lacking }: Feature, stage: Stage): Promise<FeatureOutcome> {
  try {
    await run(stage)
    return { result: 'passed' }
  } catch (error) {
    const said = lacking?.isSo() ? lacking.words.exec(String(error))?.[0] : undefined
    if (said !== undefined) return { result: 'impossible', reason: said }
    return {
      result: 'failed',
      reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }
  }
}

const ALONE = ['--network', 'none'] as const

export const FEATURES: readonly Feature[] = [
  { name: '`docker exec --user`', run: execUser },
  { name: '`docker logs --since`', run: logsSince },
  { name: '`docker run --cpu-quota`', run: cpuQuota },
  {
    name: '`docker run --blkio-weight`',
    run: blkioWeight,
    // The file went from the first version of cgroups with the CFQ scheduler, in Linux 5.0.
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

/** By name, by number, with a group; files are theirs, and what is root's is closed to them. */
async function execUser({ docker }: Stage): Promise<void> {
  await withContainer(docker, ALONE, ['sleep', '1000'], async (container) => {
    const as = (user: string, script: string) =>
      docker.docker('exec', '--user', user, container, 'sh', '-c', script)
    const whoAmI = 'echo $(busybox id -u):$(busybox id -g)'
    assert.equal(await docker.docker('exec', container, 'sh', '-c', whoAmI), '0:0\n')
    assert.equal(await as('user', whoAmI), '1000:1000\n')
    assert.equal(await as('1000:7', whoAmI), '1000:7\n')
    assert.equal(await as('4321', `touch /tmp/mine; stat -c %u:%g /tmp/mine`), '4321:0\n')
    await assert.rejects(as('user', 'echo x > /srv/one'), /Permission denied/)
    await assert.rejects(as('nobody', whoAmI), /unable to find user nobody/)
  })
}

/** A line for each start of one container, numbered in its own layer. */
async function logsSince({ docker }: Stage): Promise<void> {
  const script = 'echo x >> /starts; busybox wc -l < /starts'
  const container = (await docker.docker('create', ...ALONE, IMAGE, 'sh', '-c', script)).trim()
  for (const line of ['1\n', '2\n', '3\n']) {
    assert.equal(await docker.docker('start', '--attach', container), line)
  }
  const moments = lines(await docker.docker('logs', '--timestamps', container)).map(
    (line) => line.split(' ')[0] ?? '',
  )
  for (const [since, said] of ['1\n2\n3\n', '2\n3\n', '3\n'].entries()) {
    assert.equal(await docker.docker('logs', '--since', moments[since] ?? '', container), said)
  }
  await docker.docker('rm', container)
}

/** The kernel is told, and it holds a busy loop back. */
async function cpuQuota({ docker }: Stage): Promise<void> {
  const script = `cd /sys/fs/cgroup
if test -d cpu; then cd cpu; cat cpu.cfs_quota_us; else cat cpu.max; fi
until busybox grep -q 'nr_throttled [1-9]' cpu.stat; do :; done`
  const said = await docker.docker('run', '--rm', ...ALONE, '--cpu-quota', '10000', IMAGE, 'sh', '-c', script)
  assert.match(said, /^10000( 100000)?\n$/)
}

/** Whichever file the kernel has for it; the weight of the second version goes from 1 to 10,000. */
async function blkioWeight({ docker }: Stage): Promise<void> {
  const script = `cd /sys/fs/cgroup
cat blkio/blkio.weight blkio/blkio.bfq.weight io.bfq.weight io.weight 2>/dev/null; true`
  const words = ['run', '--rm', ...ALONE, '--blkio-weight', '300', IMAGE, 'sh', '-c', script]
  const said = await docker.dockerWith(words, {})
  assert.match(said, /^(default )?(300|2930)$/m, said)
}

/** The world's name, which is not the machine's; may it be set, it is set for both. */
async function utsHost({ docker }: Stage): Promise<void> {
  const outside = async () => (await docker.inside('hostname')).trim()
  const inside = async (...words: readonly string[]) =>
    (await docker.docker('run', '--rm', ...ALONE, ...words)).trim()
  const ask = ['busybox', 'hostname'] as const
  assert.equal(await inside('--uts=host', IMAGE, ...ask), await outside())
  assert.equal(await inside('--hostname', 'other', IMAGE, ...ask), 'other')
  await inside('--uts=host', '--cap-add', 'SYS_ADMIN', IMAGE, ...ask, 'renamed')
  assert.equal(await outside(), 'renamed')
}

/** From the host and from a neighbour by way of the host; with the kernel's rules alone, no process stands between. */
async function publish({ docker }: Stage): Promise<void> {
  await withNetwork(
    docker,
    'publishing',
    ['--subnet', '10.91.0.0/24', '--gateway', '10.91.0.1'],
    async () => {
      const words = ['--network', 'publishing', '--publish', '8080:80']
      await withContainer(docker, words, serving('published'), async () => {
        await until('the published port answers', async () =>
          assert.equal(await fetched(docker, 'http://127.0.0.1:8080/'), 'published\n'),
        )
        const neighbour = ['run', '--rm', '--network', 'publishing', IMAGE]
        assert.equal(await docker.docker(...neighbour, ...asking('http://10.91.0.1:8080/')), 'published\n')
        const processes = lines(await docker.inside('sh', '-c', 'cat /proc/[0-9]*/comm 2>/dev/null; true'))
        assert.ok(processes.includes('dockerd'), processes.join())
        assert.ok(!processes.includes('docker-proxy'), processes.join())
      })
      await assert.rejects(fetched(docker, 'http://127.0.0.1:8080/'), /ECONNREFUSED/)
    },
  )
}

/** One container in one network, then in two, then in the other: its addresses, and who reaches it. */
async function networks({ docker }: Stage): Promise<void> {
  await withNetwork(docker, 'near', ['--subnet', '10.91.1.0/24'], () =>
    withNetwork(docker, 'far', ['--subnet', '10.91.2.0/24'], () =>
      withContainer(
        docker,
        ['--network', 'near', '--ip', '10.91.1.5'],
        serving('both'),
        async (container) => {
          const addresses = async () => {
            const said = await docker.docker('exec', container, 'busybox', 'ip', '-o', '-4', 'addr')
            return [...said.matchAll(/inet (10\.\S+)/g)].map(([, address]) => address)
          }
          const seenFrom = (network: string, address: string) =>
            docker.docker('run', '--rm', '--network', network, IMAGE, ...asking(`http://${address}/`))
          assert.deepEqual(await addresses(), ['10.91.1.5/24'])
          await docker.docker('network', 'connect', '--ip', '10.91.2.5', 'far', container)
          assert.deepEqual(await addresses(), ['10.91.1.5/24', '10.91.2.5/24'])
          await until('it serves', async () => assert.equal(await seenFrom('near', '10.91.1.5'), 'both\n'))
          assert.equal(await seenFrom('far', '10.91.2.5'), 'both\n')
          await docker.docker('network', 'disconnect', 'near', container)
          assert.deepEqual(await addresses(), ['10.91.2.5/24'])
        },
      ),
    ),
  )
}

/** By its container's name and by the service's, which goes on to the container that comes after it. */
async function byName({ docker }: Stage): Promise<void> {
  const on = ['--network', 'street'] as const
  await withNetwork(docker, 'street', [], () =>
    withContainer(docker, on, ['sleep', '1000'], async (client) => {
      const answers = (name: string, said: string) =>
        until(`${name} says ${said}`, async () =>
          assert.equal(await docker.docker('exec', client, ...asking(`http://${name}/`)), `${said}\n`),
        )
      for (const shop of ['first', 'second']) {
        await withContainer(
          docker,
          [...on, '--name', shop, '--network-alias', 'shop'],
          serving(shop),
          async () => {
            await answers(shop, shop)
            await answers('shop', shop)
          },
        )
      }
      await assert.rejects(docker.docker('exec', client, ...asking('http://shop/')), /bad address/)
    }),
  )
}

/** What a container writes is the plug-in's, what is there is read by the next; mounted only as long as one runs. */
async function volumeDriver({ docker, work }: Stage): Promise<void> {
  const socket = join(work, 'shelf.sock')
  const plugin = await openVolumePlugin(socket, join(work, 'volumes'))
  try {
    await docker.inside('mkdir', '-p', '/run/docker/plugins')
    await docker.inside('ln', '-s', socket, '/run/docker/plugins/shelf.sock')
    const words = [...ALONE, '--volume-driver', 'shelf', '--volume', 'box:/data']
    const run = (script: string) => docker.docker('run', '--rm', ...words, IMAGE, 'sh', '-c', script)
    await run('echo inside > /data/inside')
    const box = plugin.directoryOf('box')
    assert.equal(readFileSync(join(box, 'inside'), 'utf8'), 'inside\n')
    writeFileSync(join(box, 'outside'), 'outside\n')
    assert.equal(await run('cat /data/inside /data/outside'), 'inside\noutside\n')
    assert.deepEqual(plugin.holders('box'), [])
    await withContainer(docker, words, ['sleep', '1000'], async () => {
      assert.equal(plugin.holders('box').length, 1)
      await assert.rejects(docker.docker('volume', 'rm', 'box'), /volume is in use/)
    })
    assert.deepEqual(plugin.holders('box'), [])
    assert.match(await docker.docker('volume', 'ls', '--format', '{{.Driver}} {{.Name}}'), /^shelf box$/m)
    await docker.docker('volume', 'rm', 'box')
    assert.ok(!existsSync(box))
    assert.equal(plugin.calls.filter((call) => call === 'VolumeDriver.Mount').length, 3)
  } finally {
    plugin.close()
  }
}

/** A container that stays while `use` runs. */
async function withContainer(
  docker: Docker,
  words: readonly string[],
  command: readonly string[],
  use: (container: string) => Promise<void>,
): Promise<void> {
  const container = (await docker.docker('run', '--detach', ...words, IMAGE, ...command)).trim()
  try {
    await use(container)
  } finally {
    await docker.docker('rm', '--force', container)
  }
}

async function withNetwork(
  docker: Docker,
  name: string,
  words: readonly string[],
  use: () => Promise<void>,
): Promise<void> {
  await docker.docker('network', 'create', ...words, name)
  try {
    await use()
  } finally {
    await docker.docker('network', 'rm', name)
  }
}

/** For a container: says one line to everyone who asks at port 80. */
function serving(line: string): readonly string[] {
  return ['sh', '-c', `echo ${line} > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp`]
}

/** For a container: prints what is at an address. */
function asking(url: string): readonly string[] {
  return ['busybox', 'wget', '-q', '-O', '-', url]
}

/** What is at an address, asked for in the world itself. */
async function fetched(docker: Docker, url: string): Promise<string> {
  const program = 'process.stdout.write(await (await fetch(process.argv[1])).text())'
  return docker.inside(process.execPath, '--input-type=module', '-e', program, url)
}

function lines(text: string): readonly string[] {
  return text.split('\n').filter(Boolean)
}
