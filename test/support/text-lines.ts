/** The lines of what a command said, but for empty ones. */
export function lines(text: string): readonly string[] {
  return text.split('\n').filter(Boolean)
}

export function sortedLines(text: string): readonly string[] {
  return [...lines(text)].sort()
}
