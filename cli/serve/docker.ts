/** The graph-driver plugin of dockerd. */
import { VarveError } from '../../core/errors.js'
import type { Service } from './service.js'

export const service: Service = {
  name: 'docker',
  socket: '/run/docker/plugins/varve.sock',
  start() {
    throw new VarveError('UNIMPLEMENTED', 'comes in a moment')
  },
}
