/** The thread of extract.ts. From enterPlace to leave, every call is synchronous: libuv's pool is not confined. */

import type { LeftOut } from '../driver.js'
import { createTarParser } from '../tar/parse.js'
import { openConsumer } from '../threads/channel.js'
import { serve } from '../threads/worker.js'
import { createBudget } from '../tree/budget.js'
import { enterPlace } from './confinement.js'
import type { Extracted, ExtractJob } from './extract.js'
import { createLayer } from './layer-writer.js'
import { createPayloads } from './replaced-payloads.js'

serve<ExtractJob, Extracted, readonly LeftOut[]>((job, { post }) => {
  const consumer = openConsumer(job.tar)
  const budget = createBudget()
  const payloads = createPayloads(job.scratch, budget)
  try {
    const place = enterPlace(job.upper)
    try {
      const layer = createLayer({
        place,
        lower: job.lower,
        style: job.whiteouts,
        payloads,
        budget,
        leftOut: (found) => post(found),
        umaskIsZero: place.jailed,
        durable: job.durable === true,
      })
      try {
        const parser = createTarParser(layer)
        for (let bytes = consumer.read(); bytes !== undefined; bytes = consumer.read()) parser.push(bytes)
        // Only the recorder knows whether an empty stream is a layer.
        if (parser.offset() > 0) parser.end()
        return { ...layer.finish(), replaced: payloads.saved }
      } finally {
        layer.close()
      }
    } finally {
      place.leave()
    }
  } catch (error) {
    consumer.cancel()
    payloads.abandon()
    throw error
  } finally {
    payloads.close()
  }
})
