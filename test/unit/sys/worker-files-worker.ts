/** Opens, closes and keeps descriptors of Node and of our own in a worker thread. */
import * as fs from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { close, open, openAt, readdir } from '../../../core/sys/files.js'
import { pipe } from '../../../core/sys/pipe.js'

const root = workerData as string
for (let i = 0; i < 50; i++) {
  const directory = open(root, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  const file = openAt(directory, 'f', fs.constants.O_RDONLY)
  const ends = pipe()
  for (const fd of [directory, file, ends.read, ends.write]) close(fd)
  readdir(root)
}
open(`${root}/f`, fs.constants.O_RDONLY)
parentPort?.postMessage('kept one open')
setInterval(() => {}, 1000)
