/** The folders of a root for what lies beside its database, and for what a repair puts aside. */
import { fromText } from '../bytes.js'
import { link } from '../sys/files.js'
import { ensureDirectory, unless } from '../sys/lenient.js'

/** The folder of the root that holds the journal and the records of layers. */
export const RECORDS = 'records'

/** The folder of the root that holds copies of the database. */
export const BACKUP = 'backup'

/** A path in `backup/`, which is made if needed, for what a repair is about to replace. */
export function asidePath(root: string, name: string): string {
  const folder = `${root}/${BACKUP}`
  ensureDirectory(fromText(folder))
  return `${folder}/before-repair-${stamp()}${name}`
}

/** Links a file of `records/` into `backup/`, before a rename replaces it; a missing file is fine. */
export function keepAside(root: string, name: string): void {
  unless('ENOENT', () => link(fromText(`${root}/${RECORDS}/${name}`), fromText(asidePath(root, `.${name}`))))
}

/** The time, for the names of files that are put aside. */
export function stamp(): string {
  return new Date().toISOString().replaceAll(/[:.]/g, '-')
}
