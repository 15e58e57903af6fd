/** A proxy snapshotter for containerd: its snapshots service, over gRPC at a unix socket. */
import { createServer, type Server as SocketServer } from 'node:net'
import { type ConnectionInjector, Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js'
import { atMost, LAST_WORDS, type Service } from '../service.js'
import { listen } from '../socket.js'
import { loadService } from './snapshot-messages.js'
import { createSnapshotService } from './snapshot-service.js'

export const NAME = 'varve'

/** What a peer may make us hold; containerd's requests have some kilobytes, and it asks for a few things at a time. */
const LIMITS: ServerOptions = {
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.max_concurrent_streams': 256,
  'grpc.enable_channelz': 0,
  // After an error of HTTP/2 Node's session neither reads nor ends, so it never sees its peer go. A ping that nobody answers
  // gives the descriptor back.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 10_000,
}

/** `name`: what containerd's configuration calls the plug-in, `[proxy_plugins.NAME]`. */
export function containerdService({ name = NAME }: { readonly name?: string | undefined } = {}): Service {
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
          // The last answers are on their way: a session ends when they are gone.
          await atMost(LAST_WORDS, answered)
          server.forceShutdown()
        },
      }
    },
  }
}

/** grpc-js binds a socket by itself, but then it can't be made elsewhere and renamed. */
function acceptFor(injector: ConnectionInjector): SocketServer {
  return createServer((socket) => {
    // A peer that goes away; what it asked for is done, and its session tells the calls.
    socket.on('error', () => socket.destroy())
    injector.injectConnection(socket)
  })
}
