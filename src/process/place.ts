// Where a store is, in words for operators: never with what gives access to it.
import type { StoreDefinition } from '../store/definition.ts'

/** The folder, or the bucket and the prefix in it. */
export function placeOf(definition: StoreDefinition): string {
  if (definition.kind === 'local') return definition.path
  return `${definition.bucket}/${definition.prefix}`.replace(/\/$/, '')
}

/** All stores in one line; where there is only a folder, that folder. */
export function placesOf(definitions: readonly StoreDefinition[]): string {
  const [first, ...others] = definitions
  if (first?.kind === 'local' && others.length === 0) return first.path
  return definitions.map(each => `${each.name} (${each.kind} ${placeOf(each)})`).join(', ')
}
