/** A driver on a temporary directory, which is removed at the end with all layers that a test leaves. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DriverModule } from '../../../core/driver.js'
import { type DriverBench, openDriverBench } from '../../conformance/driver-bench.js'

export type Bench = DriverBench

export async function withBench(
  module: DriverModule,
  options: Readonly<Record<string, string>>,
  use: (bench: Bench) => Promise<void>,
  { homeName = 'home' }: { readonly homeName?: string } = {},
): Promise<void> {
  const root = mkdtempSync(join(realpathSync(tmpdir()), `varve-driver-${process.pid}-`))
  try {
    const bench = await openDriverBench(module, new Map(Object.entries(options)), root, {
      home: join(root, homeName),
    })
    try {
      await use(bench)
    } finally {
      bench.unmountAll()
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
