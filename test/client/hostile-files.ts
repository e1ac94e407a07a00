// A run whose names break clients and the pages they read.
import { WEIRD_NAMES } from '../contract/weird-names.ts'

/** Names that clients of listings, more than file systems, read as something else. */
const LINK_LIKE_NAMES = ['http:name.txt', 'httpd.log', 'mailto:x', '&lt;entity&amp;', 'percent%41%2Fescape']

/**
 * Each name as a file of the run and as a folder with a file in it: contents by path. A file's content is its own path.
 *
 * `canKeep` leaves out what a client is known to lose by itself.
 */
export function hostileFiles(canKeep: (name: string) => boolean = () => true): ReadonlyMap<string, string> {
  const names = [...WEIRD_NAMES, ...LINK_LIKE_NAMES].filter(canKeep)
  const paths = names.flatMap(name => [name, `folders/${name}/file`])
  return new Map(paths.map(path => [path, path]))
}
