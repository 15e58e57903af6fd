/** Takes the lock named by its argument, says so, and keeps it until it is killed or its input ends. */
import { lock } from '../../../core/sys/lock.js'

const held = await lock(process.argv[2] ?? '')
process.stdout.write('held\n')
process.stdin.resume().on('end', () => held.release())
