/** The figures of a service in Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats). */

import type { ErrorCode, Store } from '../../core/store.js'

export interface Metrics {
  /** Records that a call begins; `end` takes the error's code, if any, and returns the milliseconds that the call took. */
  call(service: string, method: string): { end(code?: ErrorCode | 'INTERNAL'): number }
  /** Records that a layer with this many bytes of content was imported. */
  imported(service: string, bytes: number): void
  /** All metrics as text; queries the store. */
  text(store: Store): Promise<string>
}

/** Upper bounds in seconds: a write to the database takes about 0.4 ms, a layer of an image a few seconds. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const

interface Method {
  readonly labels: string
  readonly buckets: number[]
  count: number
  sum: number
  running: number
  readonly errors: Map<string, number>
}

interface Imports {
  layers: number
  bytes: number
}

export function createMetrics(): Metrics {
  const methods = new Map<string, Method>()
  const imports = new Map<string, Imports>()
  const methodOf = (service: string, method: string) =>
    entry(methods, `${service} ${method}`, () => ({
      labels: `service=${quoted(service)},method=${quoted(method)}`,
      buckets: BOUNDS.map(() => 0),
      count: 0,
      sum: 0,
      running: 0,
      errors: new Map(),
    }))
  return {
    call(service, name) {
      const method = methodOf(service, name)
      const start = performance.now()
      method.running += 1
      return {
        end(code) {
          const ms = performance.now() - start
          method.running -= 1
          method.count += 1
          method.sum += ms / 1000
          for (const [i, bound] of BOUNDS.entries())
            if (ms / 1000 <= bound) method.buckets[i] = (method.buckets[i] ?? 0) + 1
          if (code !== undefined) method.errors.set(code, (method.errors.get(code) ?? 0) + 1)
          return Math.round(ms * 100) / 100
        },
      }
    },
    imported(service, bytes) {
      const each = entry(imports, service, () => ({ layers: 0, bytes: 0 }))
      each.layers += 1
      each.bytes += bytes
    },
    text: async (store) =>
      [
        ...callFamilies([...methods.values()]),
        ...importFamilies(imports),
        ...(await storeFamilies(store)),
        ...processFamilies(),
      ].join(''),
  }
}

type Sample = readonly [suffix: string, labels: string, value: number]

function callFamilies(methods: readonly Method[]): readonly string[] {
  const errors = methods.flatMap(({ labels, errors }) =>
    [...errors].map(([code, count]): Sample => ['', `${labels},code=${quoted(code)}`, count]),
  )
  const times = methods.flatMap(({ labels, buckets, count, sum }): readonly Sample[] => [
    ...buckets.map((value, i): Sample => ['_bucket', `${labels},le="${BOUNDS[i]}"`, value]),
    ['_bucket', `${labels},le="+Inf"`, count],
    ['_sum', labels, sum],
    ['_count', labels, count],
  ])
  const each = (value: (method: Method) => number) =>
    methods.map((method): Sample => ['', method.labels, value(method)])
  return [
    family(
      'varve_calls_total',
      'counter',
      'Calls that ended.',
      each((method) => method.count),
    ),
    family(
      'varve_calls_running',
      'gauge',
      'Calls that are running.',
      each((method) => method.running),
    ),
    family('varve_call_errors_total', 'counter', 'Calls that failed, by code.', errors),
    family('varve_call_duration_seconds', 'histogram', 'How long calls took.', times),
  ]
}

function importFamilies(imports: ReadonlyMap<string, Imports>): readonly string[] {
  const each = (value: (imports: Imports) => number) =>
    [...imports].map(([service, counts]): Sample => ['', `service=${quoted(service)}`, value(counts)])
  return [
    family(
      'varve_imports_total',
      'counter',
      'Layers that were imported from a tar.',
      each(({ layers }) => layers),
    ),
    family(
      'varve_imported_bytes_total',
      'counter',
      'Bytes of content of the imported layers.',
      each(({ bytes }) => bytes),
    ),
  ]
}

async function storeFamilies(store: Store): Promise<readonly string[]> {
  const { driver, layers, images, mounts, size } = await store.info()
  const one = (value: number): readonly Sample[] => [['', `driver=${quoted(driver)}`, value]]
  return [
    family('varve_layers', 'gauge', 'Layers in the store, including writable ones and views.', one(layers)),
    family('varve_layer_bytes', 'gauge', 'Disk space that committed layers take.', one(size)),
    family('varve_mounts', 'gauge', 'Paths at which the store has a layer mounted.', one(mounts)),
    family('varve_images', 'gauge', 'Images in the store.', one(images)),
  ]
}

function processFamilies(): readonly string[] {
  const started = (Date.now() - process.uptime() * 1000) / 1000
  return [
    family('process_resident_memory_bytes', 'gauge', 'Resident memory of the service.', [
      ['', '', process.memoryUsage.rss()],
    ]),
    family('process_start_time_seconds', 'gauge', 'Start time of the service, in Unix time.', [
      ['', '', started],
    ]),
  ]
}

function family(name: string, type: string, help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return ''
  const lines = samples.map(
    ([suffix, labels, value]) => `${name}${suffix}${labels === '' ? '' : `{${labels}}`} ${value}\n`,
  )
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function quoted(value: string): string {
  return `"${value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`
}

function entry<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
