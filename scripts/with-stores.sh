#!/usr/bin/env bash
# Runs a command with real storage servers to test against: `scripts/with-stores.sh npm test`.
#
# $BACKENDS is a folder of scripts `start-NAME.sh PORT DATADIR` that start a server on a free port and print KEY=VALUE lines, and `stop.sh DATADIR`. Without such a folder,
# start the servers with `docker compose --profile stores up -d --build` and source scripts/compose-stores.env instead.
# $STORES chooses among them (default: all).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
backends="${BACKENDS:-$root/../shared/backends}"
[ -d "$backends" ] || {
  echo "with-stores.sh: no folder of start scripts at \$BACKENDS ($backends); see the head of this file" >&2
  exit 2
}
work=$(mktemp -d)
stop() {
  local folder
  for folder in "$work"/*/; do "$backends/stop.sh" "$folder" >/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT

# start NAME SCRIPT: starts a server and exports its settings as TEST_NAME.
start() {
  local name=$1 script=$2 settings
  settings=$("$backends/start-$script.sh" 0 "$work/$name")
  settings=$(tr '\n' ' ' <<<"$settings" | tr -d "'")
  export "TEST_${name^^}=$settings"
}

for name in ${STORES:-minio moto gcs azurite toxiproxy}; do
  case $name in
    gcs) start gcs fake-gcs-server ;;
    *) start "$name" "$name" ;;
  esac
done
"$@"
