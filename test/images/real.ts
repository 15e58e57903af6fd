/** The real images, as rows for tests: a fixture that can't be made here is a skip with its reason. */
import { FIXTURES, missingFor, type RealImage } from '../../fixtures/images.js'

export interface Row {
  readonly name: string
  /** The reason, or false. */
  readonly skip: string | false
  load(): Promise<RealImage>
}

export function realImages(): Row[] {
  return FIXTURES.flatMap((fixture) =>
    fixture.images.map((name) => ({
      name,
      skip: missingFor(fixture) ?? false,
      async load() {
        const found = (await fixture.make()).find((image) => image.name === name)
        if (found === undefined) throw new Error(`the fixture ${fixture.name} made no ${name}`)
        return found
      },
    })),
  )
}
