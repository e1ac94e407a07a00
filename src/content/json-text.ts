// Parsed JSON as text again, the same on every version of Node.

/** Some versions run out of stack where others write on; nothing that people record nests as deeply. */
const MAX_DEPTH = 1000

/** Undefined for what is nested more than 1,000 deep. `value` is what `JSON.parse` gives. */
export function jsonText(value: unknown): string | undefined {
  return isTooDeep(value) ? undefined : JSON.stringify(value)
}

function isTooDeep(value: unknown): boolean {
  let level = [value].filter(isContainer)
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true
    const next: object[] = []
    for (const container of level)
      for (const child of Object.values(container) as unknown[]) if (isContainer(child)) next.push(child)
    level = next
  }
  return false
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
