import type { Driver, DriverModule } from '../../../core/driver.js'

/** The module with some of its driver's methods replaced. */
export function altered(module: DriverModule, change: (driver: Driver) => Partial<Driver>): DriverModule {
  return {
    ...module,
    async open(context) {
      const driver = await module.open(context)
      return { ...driver, ...change(driver) }
    },
  }
}
