/** The lines of a command's output that are not empty. */
export function lines(text: string): readonly string[] {
  return text.split('\n').filter(Boolean)
}

export function sortedLines(text: string): readonly string[] {
  return [...lines(text)].sort()
}
