/**
 * Takes the lock of the file, or the name in it, of its arguments, reports it, and holds it until it is killed or its input
 * ends.
 */
import { lock, lockIn } from '../../../core/sys/lock.js'

const [file = '', name] = process.argv.slice(2)
const held = await (name === undefined ? lock(file) : lockIn(file, name))
process.stdout.write('held\n')
process.stdin.resume().on('end', () => held.release())
