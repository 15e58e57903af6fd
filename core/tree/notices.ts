/** Things a person should know, bounded: a layer may have a million of them. */
export interface Notices {
  add(text: string): void
  /** The first 100, and how many more there were. */
  list(): string[]
}

const LIMIT = 100

export function createNotices(): Notices {
  const texts: string[] = []
  let more = 0
  return {
    add(text) {
      if (texts.length < LIMIT) texts.push(text)
      else more++
    },
    list: () => (more === 0 ? texts : [...texts, `… and ${more} more`]),
  }
}
