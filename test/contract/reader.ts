// A process that reads a store as whoever it runs as, and prints what it found. Used by the permission cases, since root may read everything.
import { AppError } from '../../src/errors.ts'
import { openLocalStore } from '../../src/store/local.ts'
import { at, listAll, readAll, withOpen } from './harness.ts'

async function outcome(work: () => Promise<unknown>): Promise<unknown> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { kind: error.kind, path: error.path, message: error.message }
  }
}

const store = openLocalStore({ root: process.argv[2]! })
const found: Record<string, unknown> = {
  list: await outcome(() => listAll(store, '')),
  recursive: await outcome(() => listAll(store, '', { recursive: true })),
}
for (const path of process.argv.slice(3)) {
  found[`stat ${path}`] = await outcome(() => store.stat(at(path)))
  found[`list ${path}`] = await outcome(() => listAll(store, path))
  found[`read ${path}`] = await outcome(() =>
    withOpen(store, path, async artifact => String(await readAll(artifact))),
  )
}
process.stdout.write(JSON.stringify(found))
