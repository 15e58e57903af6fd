/**
 * The services as a library, the package's entry `varve/serve`: `serve(containerdService(), { store, signal })` listens at the
 * service's own socket, or at `socket`, until the signal aborts. Open the store with the service's name as `engine`; the
 * caller closes it.
 */
// biome-ignore lint/performance/noBarrelFile: this file is the package's API for services
export { type ContainerdOptions, containerdService } from './serve/containerd/server.js'
export { type DockerOptions, dockerService } from './serve/docker/server.js'
export { LEVELS, type Level } from './serve/levels.js'
export { type ServeOptions, serve } from './serve/lifetime.js'
export { createLog, type Fields, type Log, type LogOptions, toStandardError } from './serve/log.js'
export { type Endpoint, parseEndpoint } from './serve/metrics-server.js'
export { createReadiness, type Readiness } from './serve/ready.js'
export type { ServeContext, Service, Serving } from './serve/service.js'
