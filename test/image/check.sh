#!/usr/bin/env bash
# Builds the image and runs it as a strict cluster would: read-only, without capabilities, as user 1000.
# Usage: test/image/check.sh DEPLOY_TOOLS     (root; the folder that has build-image.sh, run-image.sh and podman.sh)
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DEPLOY_TOOLS" >&2; exit 64; }
tools=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
name="outputs-image-check-$$"
work=$(mktemp -d)
# shellcheck disable=SC2317 # called by the trap
cleanup() {
  local status=$?
  if "$tools/podman.sh" container exists "$name" 2>/dev/null; then
    "$tools/podman.sh" logs "$name" >&2
    "$tools/podman.sh" rm -f -t 1 "$name" >/dev/null
  fi
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT

fail() { echo "image: $*" >&2; exit 1; }
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

image=$("$tools/build-image.sh" "$root" polyaxon-outputs:check)

# As docker-compose.yml does it: the sample is made by a container of its own, then only read.
mkdir "$work/outputs"
chmod 755 "$work"
chown 1000:1000 "$work/outputs"
"$tools/run-image.sh" "$image" -v "$work/outputs:/outputs" --entrypoint node -- dist/sample/make.js /outputs/sample

# The image itself must not decide that nobody is asked who they are.
if "$tools/run-image.sh" "$image" -v "$work/outputs:/outputs:ro" >"$work/refused" 2>&1; then
  fail 'it serves every address without authentication and without having been told to'
fi
grep -q ALLOW_UNAUTHENTICATED "$work/refused" || fail "the refusal does not say what to do: $(cat "$work/refused")"

port=$(free_port)
url="http://127.0.0.1:$port"
"$tools/run-image.sh" "$image" --name "$name" --memory 256m -v "$work/outputs:/outputs:ro" \
  -e "PORT=$port" -e OUTPUTS_PATH=/outputs/sample -e ALLOW_UNAUTHENTICATED=true >"$work/log" 2>&1 &
container=$!
curl -fsS --retry 60 --retry-delay 1 --retry-connrefused -o /dev/null "$url/readyz" || fail "not ready: $(cat "$work/log")"
curl -fsS -o /dev/null "$url/healthz"
"$tools/podman.sh" healthcheck run "$name" || fail 'the health check of the image fails'

file=$(cd "$work/outputs/sample" && find . -path './*/*/experiments/*' -type f -name '*.csv' -printf '%P\n' | sort | head -n 1)
[ -n "$file" ] || fail 'the sample has no experiment with a CSV file'
curl -fsS "$url/outputs/${file%/*}/?format=text" | grep -qF "${file##*/}" || fail "the listing does not name $file"
curl -fsS "$url/outputs/$file" | cmp - "$work/outputs/sample/$file"

in_container() { "$tools/podman.sh" exec "$name" "$@"; }
[ "$(in_container id -u)" = 1000 ] || fail 'it runs as another user than 1000'
if in_container sh -c 'command -v npm || command -v npx || command -v corepack'; then fail 'a package manager is in it'; fi
if in_container sh -c 'ls -d node_modules/typescript node_modules/node-linux-*' 2>/dev/null; then fail 'more than production dependencies are in it'; fi
if in_container touch /app/x 2>/dev/null; then fail 'its root file system can be written'; fi

"$tools/podman.sh" stop --time 20 "$name" >/dev/null
status=0
wait "$container" || status=$?
[ "$status" = 0 ] || fail "it ended with status $status on SIGTERM: $(cat "$work/log")"
echo "image: $("$tools/podman.sh" image inspect "$image" --format '{{.Size}}') bytes unpacked, every check passed"
