import { fromText } from '../bytes.js'
import { errnoOf } from '../errors.js'
import { link, mkdir } from '../sys/files.js'

/** The folder of the root that holds the journal and the records of layers. */
export const RECORDS = 'records'

/** The folder of the root that holds copies of the database. */
export const BACKUP = 'backup'

/** A path in `backup/`, which is made, for what a repair is about to replace. */
export function asidePath(root: string, name: string): string {
  const folder = `${root}/${BACKUP}`
  try {
    mkdir(fromText(folder), 0o700)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
  }
  return `${folder}/before-repair-${new Date().toISOString().replaceAll(/[:.]/g, '-')}${name}`
}

/** Gives a file of `records/` that is about to be replaced by a rename a second name in `backup/`; none there is fine. */
export function keepAside(root: string, name: string): void {
  try {
    link(fromText(`${root}/${RECORDS}/${name}`), fromText(asidePath(root, `.${name}`)))
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}
