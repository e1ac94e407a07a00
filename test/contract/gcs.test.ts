// The Cloud Storage driver held to the contract: on an emulator, and on a server of ours that pages as the real service does.
import { describe } from 'vitest'
import { ScriptedGcs } from '../support/scripted-gcs.ts'
import { fakeGcs, OBJECT_CAPABILITIES } from '../support/store-gcs.ts'
import type { Harness } from './harness.ts'
import { describeStore } from './store-suite.ts'

describe.skipIf(!fakeGcs.available)('emulated', () => {
  describeStore(fakeGcs.title, OBJECT_CAPABILITIES, () => fakeGcs.make())
  describeStore(`${fakeGcs.title}, below a prefix`, OBJECT_CAPABILITIES, () =>
    fakeGcs.make({ prefix: 'team/outputs/' }),
  )
})

/** https://cloud.google.com/storage/docs/objects#naming: names hold neither. */
const REFUSED_NAMES = new Map([
  ['new\nline', 'the service refuses LF in names'],
  ['carriage\rreturn', 'the service refuses CR in names'],
])

async function scriptedHarness(namesPerPage: number): Promise<Harness> {
  const server = await ScriptedGcs.start()
  server.namesPerPage = namesPerPage
  const store = server.store()
  return {
    store,
    keepsTimes: false,
    unsupportedNames: REFUSED_NAMES,
    write: (path, content) => server.write(path, content),
    remove: path => server.remove(path),
    close: async () => {
      await store.close()
      await server.close()
    },
  }
}

describeStore('Cloud Storage as scripted', OBJECT_CAPABILITIES, () => scriptedHarness(1000))
describeStore('Cloud Storage as scripted, in short pages', OBJECT_CAPABILITIES, () => scriptedHarness(7))
