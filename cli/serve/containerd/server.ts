/** A proxy snapshotter for containerd: its snapshots service, over gRPC at a unix socket. */
import { createServer, type Server as SocketServer } from 'node:net'
import { type ConnectionInjector, Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js'
import { atMost, LAST_WORDS, type Service } from '../service.js'
import { listen } from '../socket.js'
import { loadService } from './snapshot-messages.js'
import { createSnapshotService } from './snapshot-service.js'

export const NAME = 'varve'

/** Limits on the memory of a peer. containerd's own requests have a few kilobytes, and only a few run at a time. */
const LIMITS: ServerOptions = {
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.max_concurrent_streams': 256,
  'grpc.enable_channelz': 0,
  // After an HTTP/2 error, Node's session neither reads nor ends, so it never notices that its peer is gone. An unanswered
  // ping then closes the descriptor.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 10_000,
}

export interface ContainerdOptions {
  /** What containerd's configuration calls the plug-in, `[proxy_plugins.NAME]`; default {@link NAME}. */
  readonly name?: string | undefined
}

export function containerdService({ name = NAME }: ContainerdOptions = {}): Service {
  return {
    name: 'containerd',
    socket: '/run/varve/containerd.sock',
    async start({ store, calls }) {
      const server = new Server(LIMITS)
      server.addService(await loadService(), createSnapshotService(store, { name, calls }))
      const sockets = acceptFor(server.createConnectionInjector(ServerCredentials.createInsecure()))
      let answered: Promise<void> = Promise.resolve()
      return {
        listen: (path) => listen(sockets, { path }),
        stop() {
          sockets.close()
          answered = new Promise((resolve) => server.tryShutdown(() => resolve()))
        },
        async close() {
          // A session ends when its last answers are sent.
          await atMost(LAST_WORDS, answered)
          server.forceShutdown()
        },
      }
    },
  }
}

/** Our own listening socket. grpc-js could bind one, but not create it elsewhere and rename it. */
function acceptFor(injector: ConnectionInjector): SocketServer {
  return createServer((socket) => {
    // The peer went away. Its unary calls still finish; its session cancels the streams.
    socket.on('error', () => socket.destroy())
    injector.injectConnection(socket)
  })
}
