// The contract on a real NFS mount that another machine changes behind the back of this one.
import { describe } from 'vitest'
import { describeStore } from '../contract/store-suite.ts'
import { remotelyChangedNfsStore as store } from '../support/store-local.ts'

describe.skipIf(!store.available)(store.title, () => {
  describeStore('bare', store.capabilities, () => store.make())
  describeStore('scoped', store.capabilities, () => store.make({ prefix: 'owner/project/run1' }))
})
