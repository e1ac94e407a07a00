// A process of its own that writes to a local store, for tests of what several processes, other users and kills do to one: `node writer.ts ROOT WORK [ARGUMENT]`.
import { isAppError } from '../../src/errors.ts'
import { openLocalStore } from '../../src/store/local.ts'
import { at, readAll, withOpen } from './harness.ts'
import { put } from './write-cases.ts'

const [root = '', work = '', argument = ''] = process.argv.slice(2)
const store = openLocalStore({ root })

/** Adds one to the number in `counter`, as often as asked, each time only if nobody else did meanwhile. */
async function count(times: number): Promise<void> {
  for (let done = 0; done < times;) {
    const entry = await store.stat(at('counter'))
    const number = await withOpen(store, 'counter', artifact => readAll(artifact)).then(Number)
    try {
      await put(store, 'counter', Buffer.from(String(number + 1)), {
        precondition: { type: 'etag', etags: [entry.etag] },
      })
      done++
    } catch (error) {
      if (!isAppError(error, 'Changed')) throw error
    }
  }
}

/** Writes for ever; says `writing` once some of it is on the disk. */
async function writeForEver(path: string): Promise<never> {
  const pending = await store.create(at(path))
  await pending.write(Buffer.alloc(1024 ** 2, 'x'))
  console.log('writing')
  for (;;) await new Promise(resolve => setTimeout(resolve, 1000))
}

async function tryOut(path: string): Promise<string> {
  const outcome = await put(store, path, Buffer.from('x')).catch((error: unknown) => error)
  return JSON.stringify(isAppError(outcome) ? { kind: outcome.kind, message: outcome.message } : outcome)
}

if (work === 'count') await count(Number(argument))
else if (work === 'write') await writeForEver(argument)
else console.log(await tryOut(argument))
