// The contract on a real NFS mount that only this machine changes.
import { describe } from 'vitest'
import { describeStore } from '../contract/store-suite.ts'
import { nfsStore } from '../support/store-local.ts'

describe.skipIf(!nfsStore.available)(nfsStore.title, () => {
  describeStore('bare', nfsStore.capabilities, () => nfsStore.make())
  describeStore('scoped', nfsStore.capabilities, () => nfsStore.make({ prefix: 'owner/project/run1' }))
})
