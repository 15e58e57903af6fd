/** Table `reference`: names of images. */
import type { ImageKey } from './images.js'
import type { Sql } from './sql.js'

export interface ReferenceRow {
  readonly name: string
  readonly image: ImageKey
}

export type References = ReturnType<typeof createReferences>

export function createReferences(sql: Sql) {
  const set = sql.run<{ name: string; image: number }>(
    'INSERT INTO reference (name, image) VALUES (:name, :image) ON CONFLICT (name) DO UPDATE SET image = :image',
  )
  const get = sql.one<{ name: string }, { image: number }>('SELECT image FROM reference WHERE name = :name')
  const byImage = sql.all<{ image: number }, { name: string }>(
    'SELECT name FROM reference WHERE image = :image ORDER BY name',
  )
  const all = sql.all<Record<never, never>, ReferenceRow>('SELECT name, image FROM reference ORDER BY name')
  const remove = sql.run<{ name: string }>('DELETE FROM reference WHERE name = :name')
  return {
    /** Points `name` at the image, wherever it pointed before. */
    set: (name: string, image: ImageKey): void => void set({ name, image }),
    get: (name: string): ImageKey | undefined => get({ name })?.image,
    byImage: (image: ImageKey): readonly string[] => byImage({ image }).map((row) => row.name),
    all: (): readonly ReferenceRow[] => all({}),
    delete: (name: string): boolean => remove({ name }).changes > 0,
  }
}
