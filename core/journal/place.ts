/** The folders of a root that hold what lies beside its database, and what a repair puts there. */
import { fromText } from '../bytes.js'
import { link } from '../sys/files.js'
import { ensureDirectory, unless } from '../sys/lenient.js'

/** The folder of the root that holds the journal and the records of layers. */
export const RECORDS = 'records'

/** The folder of the root that holds copies of the database. */
export const BACKUP = 'backup'

/** A path in `backup/`, which is made, for what a repair is about to replace. */
export function asidePath(root: string, name: string): string {
  const folder = `${root}/${BACKUP}`
  ensureDirectory(fromText(folder))
  return `${folder}/before-repair-${stamp()}${name}`
}

/** Gives a file of `records/` that is about to be replaced by a rename a second name in `backup/`; none there is fine. */
export function keepAside(root: string, name: string): void {
  unless('ENOENT', () => link(fromText(`${root}/${RECORDS}/${name}`), fromText(asidePath(root, `.${name}`))))
}

/** The time, for the names of what is put there. */
export function stamp(): string {
  return new Date().toISOString().replaceAll(/[:.]/g, '-')
}
