#!/bin/sh
# Is the committed web/dist what the sources build? Run after `npm ci`.
set -eu
cd "$(dirname "$0")"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npx vite build --outDir "$fresh" --emptyOutDir --logLevel warn
if ! diff -r "$fresh" dist; then
  echo "web/dist is not what web/ builds: run 'npm ci && npm run build' and commit web/dist" >&2
  exit 1
fi
echo "web/dist is what web/ builds"
