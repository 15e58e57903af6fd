/** Between an engine and us: passes every byte on, counts the pieces, and stops at the one that a test waits for. */
import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'

/** Of what stands between: where it listens for an engine, and where it finds us. */
export interface Sockets {
  readonly listen: string
  readonly forward: string
}

export interface Tap {
  /** Pieces that have passed, of questions and of answers. */
  passed(): number
  /**
   * Resolves with what it was when `then` was called, right before the `nth` piece from now is passed on: of dockerd's
   * HTTP/1 with the method, which containerd's HTTP/2 does not show.
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
      one.on('error', () => {}) // who went away closes, and so does the other
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
