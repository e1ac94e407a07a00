// The NFS mount that TEST_NFS names (see scripts/with-nfs.sh), and folders in it that another machine changes.
import { chmodSync } from 'node:fs'
import { basename, join } from 'node:path'
import { serverSettings } from '../support/servers.ts'
import { Tree } from '../support/tree.ts'

export const nfs = serverSettings('nfs')

/** A folder of its own that is made and changed by the server; this machine only sees it. */
export class RemoteTree extends Tree {
  /** Where this machine sees it. */
  readonly seenAt: string

  /** `name` is a folder that the server exports in a way of its own. */
  constructor(name = '') {
    super(join(nfs!['export']!, name))
    chmodSync(this.root, 0o755)
    this.seenAt = join(nfs!['mount']!, name, basename(this.root))
  }
}
