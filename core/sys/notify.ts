/** sd_notify(3): reports a service's state to the service manager, by a datagram to the socket that $NOTIFY_SOCKET names. */
import { fromText } from '../bytes.js'
import { close } from './files.js'
import { check, libc } from './libc.js'
import { enter } from './seam.js'

/**
 * Sends `state` (`READY=1`, `STOPPING=1` …, one a line). Without a service manager it does nothing.
 * @throws SysError, where there is one and it can't be reached
 */
export function notify(state: string, socket = process.env.NOTIFY_SOCKET): void {
  if (socket === undefined || socket === '') return
  enter('socket')
  const fd = check(libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket')
  try {
    const address = unixAddress(fromText(socket))
    const data = Buffer.from(state, 'utf8')
    enter('sendto')
    check(
      libc.sendto(fd, data, data.length, MSG_NOSIGNAL, address, address.length),
      'sendto',
      fromText(socket),
    )
  } finally {
    close(fd)
  }
}

/** struct sockaddr_un; a name that begins with `@` is an abstract one (unix(7)). */
function unixAddress(path: string): Uint8Array {
  const isAbstract = path.startsWith('@')
  const name = Buffer.from(isAbstract ? `\0${path.slice(1)}` : `${path}\0`, 'latin1')
  const address = Buffer.alloc(2 + name.length)
  new Uint16Array(address.buffer, address.byteOffset, 1)[0] = AF_UNIX // the machine's byte order
  name.copy(address, 2)
  return address
}

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_NOSIGNAL = 0x4000
