// The contract on a real NFS mount: changed by this machine, and by another one behind its back.
import { describe } from 'vitest'
import { describeStore } from '../contract/store-suite.ts'
import { nfsStore, remotelyChangedNfsStore } from '../support/store-local.ts'

for (const store of [nfsStore, remotelyChangedNfsStore])
  describe.skipIf(!store.available)(store.title, () => {
    describeStore('bare', store.capabilities, () => store.make())
    describeStore('scoped', store.capabilities, () => store.make({ prefix: 'owner/project/run1' }))
  })
