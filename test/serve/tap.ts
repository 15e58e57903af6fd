/** A proxy between an engine and the service: passes every byte on, counts the pieces, and calls back at a given one. */
import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'

/** A proxy's sockets: where it listens for the engine, and where the service listens. */
export interface Sockets {
  readonly listen: string
  readonly forward: string
}

export interface Tap {
  /** The number of pieces that have passed, of requests and of answers. */
  passed(): number
  /**
   * Calls `then` right before the `nth` piece from now is passed on. Resolves to a description of that piece; in dockerd's
   * HTTP/1 it has the method, in containerd's HTTP/2 it does not.
   */
  at(nth: number, then: () => void): Promise<string>
  close(): void
}

interface Wait {
  readonly piece: number
  reached(what: string): void
}

export async function openTap({ listen, forward }: Sockets): Promise<Tap> {
  const open = new Set<Socket>()
  let passed = 0
  let wait: Wait | undefined
  const count = (what: string) => {
    passed += 1
    if (wait?.piece !== passed) return
    wait.reached(what)
    wait = undefined
  }
  const server = createServer((engine) => {
    const service = createConnection(forward)
    let method = 'nothing'
    engine.on('data', (piece) => {
      method = /^POST \/(\S+)/.exec(piece.toString('latin1', 0, 100))?.[1] ?? method
      count(`it says ${method}`)
      if (!service.write(piece)) engine.pause()
    })
    service.on('data', (piece) => {
      count(`it is told of ${method}`)
      if (!engine.write(piece)) service.pause()
    })
    engine.on('drain', () => service.resume())
    service.on('drain', () => engine.resume())
    for (const [one, other] of [
      [engine, service],
      [service, engine],
    ] as const) {
      open.add(one)
      one.on('error', () => {}) // 'close' follows, and destroys the other side
      one.on('end', () => other.end())
      one.on('close', () => {
        open.delete(one)
        other.destroy()
      })
    }
  })
  await once(server.listen(listen), 'listening')
  return {
    passed: () => passed,
    at: (nth, then) =>
      new Promise((resolve) => {
        wait = {
          piece: passed + nth,
          reached(what) {
            then()
            resolve(what)
          },
        }
      }),
    close() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}
