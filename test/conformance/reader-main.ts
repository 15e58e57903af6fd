/** Reads a file of a layer of a store, and is never done: it holds the layer's view until it is killed. */
import { openStore } from '../../core/store.js'
import { type DriverJob, loadModule, readJob } from './child.js'

export interface ReaderJob extends DriverJob {
  readonly root: string
  readonly layer: string
  readonly file: string
}

const job = readJob<ReaderJob>()
const store = await openStore({
  root: job.root,
  drivers: [await loadModule(job)],
  driver: job.name,
  storageOptions: Object.entries(job.options).map(([key, value]) => `${key}=${value}`),
})
setInterval(() => {}, 60_000) // a promise alone keeps no process alive
for await (const chunk of store.read(job.layer, job.file)) {
  process.stdout.write(`read ${chunk.length}\n`)
  await new Promise(() => {})
}
