#!/usr/bin/env bash
# Does what a newcomer does: clones into an empty folder, types the README's two commands, and pastes every command that the README and the
# service itself show. The commands of the README must print what it says they do. Needs git, npm, curl, python3 and port 8000.
# Usage: scripts/fresh-clone.sh     (tests the last commit, not the working tree)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
url=http://127.0.0.1:8000
work=$(mktemp -d)
service=''
# shellcheck disable=SC2317 # called by the trap
cleanup() {
  local status=$?
  # The whole group, and until it is gone: npm does not wait for what it started.
  if [ -n "$service" ] && kill -TERM -- "-$service" 2>/dev/null; then
    while kill -0 -- "-$service" 2>/dev/null; do sleep 0.1; done
  fi
  if [ "$status" != 0 ] && [ -f "$work/log" ]; then cat "$work/log" >&2; fi
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT

if curl -s -o "$work/taken" "$url/"; then
  echo "fresh-clone: something else listens on port 8000" >&2
  exit 1
fi

git clone --quiet "$root" "$work/clone"
cd "$work/clone"
npm ci
setsid npm start >"$work/log" 2>&1 &
service=$!

# The service prints its three commands once it answers.
shown() { sed -n 's/^ *\(curl .*\)/\1/p' "$work/log"; }
for _ in $(seq 600); do
  [ "$(shown | wc -l)" -lt 3 ] || break
  kill -0 "$service" || { echo 'fresh-clone: npm start ended' >&2; exit 1; }
  sleep 0.1
done
[ "$(shown | wc -l)" = 3 ] || { echo 'fresh-clone: npm start did not print three curl commands' >&2; exit 1; }

mkdir "$work/pasted"
cd "$work/pasted"
while read -r command; do
  echo "+ $command"
  # --fail only turns an error answer into an exit status.
  sh -ec "$command --fail" >"$work/output"
done < <(shown)

PATH="$work/clone/node_modules/.bin:$PATH" node "$work/clone/scripts/run-readme.ts" "$work/clone/README.md"
