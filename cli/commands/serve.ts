import { VarveError } from '../../core/store.js'
import { defineCommand } from '../args/command.js'
import { oneOf } from '../args/options.js'
import { LEVELS, type Level } from '../serve/levels.js'

const ENGINES = ['docker', 'containerd'] as const

export const command = defineCommand({
  positionals: {
    engine: {
      ...oneOf('engine', ENGINES),
      demandOption: true,
      describe: 'docker: as a graph-driver plug-in; containerd: as a proxy snapshotter',
    },
  },
  options: {
    socket: {
      type: 'string',
      requiresArg: true,
      describe: 'Where to listen',
      defaultDescription: '/run/docker/plugins/varve.sock, /run/varve/containerd.sock',
      completes: 'file',
    },
    name: {
      type: 'string',
      requiresArg: true,
      describe: "What containerd's configuration calls the plug-in: [proxy_plugins.NAME]",
      defaultDescription: 'varve',
    },
    metrics: {
      type: 'string',
      requiresArg: true,
      describe: 'Prometheus metrics and /healthz at a socket path, PORT (on 127.0.0.1) or HOST:PORT',
    },
    'log-level': {
      ...oneOf('log level', LEVELS),
      describe: 'debug logs every call',
      defaultDescription: 'info',
    },
    'ready-fd': {
      type: 'string',
      requiresArg: true,
      describe: 'A descriptor to write a line to once the socket is there',
    },
  },
  examples: [
    { line: 'serve docker', does: 'The storage for dockerd --experimental -s varve' },
    { line: 'serve containerd --metrics 9323', does: 'A snapshotter for containerd, with metrics' },
  ],
  untilInterrupted: true,
  async run(
    { engine, socket, name, metrics, 'log-level': level, 'ready-fd': fd },
    { global, signal, store },
  ) {
    const [{ createLog, toStandardError }, { createReadiness }, { parseEndpoint }, { serve }, service] =
      await Promise.all([
        import('../serve/log.js'),
        import('../serve/ready.js'),
        import('../serve/metrics-server.js'),
        import('../serve/lifetime.js'),
        serviceOf(engine ?? 'docker', name, global.storageOptions),
      ])
    const quietest: Level = global.quiet ? 'error' : 'info'
    const log = createLog({
      level: level ?? quietest,
      json: global.json,
      write: toStandardError(),
    })
    const endpoint = metrics === undefined ? undefined : parseEndpoint(metrics)
    const readiness = createReadiness(fd, log)
    await serve(service, {
      store: await store({ warn: log.warn, engine: service.name }),
      log,
      readiness,
      socket: socket ?? service.socket,
      metrics: endpoint,
      signal,
    })
    return undefined
  },
})

async function serviceOf(
  engine: (typeof ENGINES)[number],
  name: string | undefined,
  storageOptions: readonly string[],
) {
  if (engine === 'containerd')
    return (await import('../serve/containerd/server.js')).containerdService({ name })
  if (name === undefined) {
    const [{ dockerService }, { drivers }] = await Promise.all([
      import('../serve/docker/server.js'),
      import('../../drivers/all.js'),
    ])
    return dockerService({ drivers, storageOptions })
  }
  throw new VarveError(
    'INVALID_ARGUMENT',
    "--name is for containerd; dockerd's plug-in has its socket's name",
  )
}
