/** The reason to skip tests that mount; false for root. */
export const NEEDS_ROOT: string | false = process.getuid?.() === 0 ? false : 'needs root, to mount'
