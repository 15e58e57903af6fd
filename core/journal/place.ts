/** The folder of the root that holds the journal and the records of layers. */
export const RECORDS = 'records'

/** The folder of the root that holds copies of the database. */
export const BACKUP = 'backup'
