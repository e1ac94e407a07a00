#!/usr/bin/env bash
# Runs a command with a real NFS mount to test against: `scripts/with-nfs.sh npx vitest run test/nfs`.
#
# TEST_NFS names what there is, as KEY=VALUE separated by spaces. With an NFS mount of your own, set it and need no script: TEST_NFS='mount=/mnt/x' npx vitest run test/nfs
#   mount=FOLDER          a folder on NFS that may be written to
#   export=FOLDER         the same folder on the server's side, to change it as another machine would
#   readonly=NAME         a folder in both that the server exports read-only
#   squashed=NAME         a folder in both that the server exports with root_squash
#   stall=CMD resume=CMD  programs that keep the server from answering, and let it go on
#
# Without TEST_NFS, $BACKENDS/run-on-nfs.sh COMMAND gives all of them: it runs the command in a small virtual machine with NFS client and server, in which NFS_MOUNT, NFS_EXPORT,
# nfs-stall and nfs-resume are what their names say.
set -euo pipefail
if [ "${1:-}" = --inside ]; then
  shift
  # Exports of their own have to be file systems of their own: NFSv4 crosses into those only.
  options=no_subtree_check,insecure
  for export in readonly:ro,no_root_squash,fsid=1 squashed:rw,root_squash,fsid=2; do
    folder=$NFS_EXPORT/${export%%:*}
    mkdir "$folder"
    mount -t tmpfs -o size=16m tmpfs "$folder"
    chmod 755 "$folder"
    exportfs -o "${export#*:},$options" "127.0.0.1:$folder"
  done
  export TEST_NFS="mount=$NFS_MOUNT export=$NFS_EXPORT readonly=readonly squashed=squashed stall=nfs-stall resume=nfs-resume"
  exec "$@"
fi
[ $# -ge 1 ] || {
  echo "usage: with-nfs.sh COMMAND [ARG...]" >&2
  exit 2
}
[ -z "${TEST_NFS:-}" ] || exec "$@"
self=$(readlink -f "${BASH_SOURCE[0]}")
run="${BACKENDS:-$(dirname "$self")/../../shared/backends}/run-on-nfs.sh"
[ -x "$run" ] || {
  echo "with-nfs.sh: TEST_NFS is not set, and there is no run-on-nfs.sh in \$BACKENDS; see the head of this file" >&2
  exit 2
}
# The virtual machine is ended after this time, and has room for the tests, the service and the files of both sides.
export VM_SECONDS="${VM_SECONDS:-900}" VM_MEMORY="${VM_MEMORY:-1536M}"
exec "$run" "$self" --inside "$@"
