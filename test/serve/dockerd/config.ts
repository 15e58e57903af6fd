/** The configuration of dockerd, its containerd and the service: all directories, files and sockets are in one place. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { containerdConfig } from '../../../fixtures/docker.js'
import { CLI } from '../../support/varve.js'
import { groupOf } from '../cgroups.js'

export interface DockerConfig {
  /** An existing directory; everything is below it. */
  readonly place: string
  /**
   * `varve`: the service as dockerd's plug-in, on this backend; `store`: beneath containerd's image store; `own`: not at
   * all.
   */
  readonly storage: { readonly varve: string } | { readonly store: string } | { readonly own: string }
  /**
   * Arguments for a dockerd that creates networks, in its own network namespace with its own host name. Default: no
   * networks.
   */
  readonly networks?: readonly string[]
}

/** Debian's client, because another one in PATH may be too new for the daemon. */
const CLIENT = existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker'

/** The root of the store. */
export function rootOf({ place }: DockerConfig): string {
  return join(place, 'varve')
}

/** To be called before any of them starts. */
export function writeConfig({ place, storage }: DockerConfig): void {
  for (const name of ['config', 'tmp']) mkdirSync(join(place, name))
  const isStore = 'store' in storage
  const features = isStore ? { features: { 'containerd-snapshotter': true } } : {}
  writeFileSync(join(place, 'daemon.json'), JSON.stringify(features))
  const plugin = `[proxy_plugins.varve]\n  type = "snapshot"\n  address = "${snapshotterSocket(place)}"\n`
  writeFileSync(join(place, 'containerd.toml'), containerdConfig(place) + (isStore ? plugin : ''))
}

export function environmentOf({ place }: DockerConfig): Readonly<Record<string, string>> {
  return { TMPDIR: join(place, 'tmp'), DOCKER_CONFIG: join(place, 'config'), DOCKER_BUILDKIT: '0' }
}

export function clientWords({ place }: DockerConfig): readonly string[] {
  return [CLIENT, '--host', `unix://${place}/docker.sock`]
}

export function containerdSocket({ place }: DockerConfig): string {
  return join(place, 'containerd.sock')
}

export function containerdWords({ place }: DockerConfig): readonly string[] {
  return ['containerd', '--config', join(place, 'containerd.toml')]
}

/** `socket` replaces the path at which dockerd looks for the plug-in. */
export function serviceWords(config: DockerConfig, socket: string | undefined): readonly string[] {
  const { place, storage } = config
  if ('own' in storage) throw new Error('dockerd is on its own storage here')
  const [driver, ...engine] =
    'varve' in storage
      ? [storage.varve, 'docker', ...(socket === undefined ? [] : ['--socket', socket])]
      : [storage.store, 'containerd', '--socket', snapshotterSocket(place)]
  const words = ['--root', rootOf(config), '--driver', driver, 'serve', ...engine]
  return [process.execPath, CLI, ...words, '--log-level', 'debug', '--ready-fd', '3']
}

export function dockerdWords(config: DockerConfig): readonly string[] {
  const { place, storage, networks } = config
  return [
    ...['dockerd', '--storage-driver', 'own' in storage ? storage.own : 'varve'],
    ...('varve' in storage ? ['--experimental'] : []),
    ...['--config-file', `${place}/daemon.json`],
    ...['--data-root', `${place}/data`, '--exec-root', `${place}/exec`],
    ...['--pidfile', `${place}/dockerd.pid`, '--host', `unix://${place}/docker.sock`],
    ...['--containerd', containerdSocket(config), '--debug'],
    ...['--cgroup-parent', `/${groupOf(place)}`],
    ...['--bridge=none', '--ip6tables=false', ...(networks ?? ['--iptables=false'])],
  ]
}

function snapshotterSocket(place: string): string {
  return join(place, 'snapshots.sock')
}
