/** The reason to skip what mounts; false for root. */
export const NEEDS_ROOT: string | false = process.getuid?.() === 0 ? false : 'needs root: it mounts'
