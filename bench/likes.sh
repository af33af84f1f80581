#!/usr/bin/env bash
# Likes over HTTP, each figure beside the limit or the peer of the same run.
#   ./dev bench likes                          embedded, beside a bare epoll loop: bench/likes.py --help
#   ./dev bench likes --with redis,postgres    on Redis and PostgreSQL, beside redis-benchmark: bench/likes_scaled.py --help
set -euo pipefail
here="$(dirname "$0")"
for argument in "$@"; do
  if [[ "$argument" == --with || "$argument" == --with=* ]]; then exec python3 "$here/likes_scaled.py" "$@"; fi
done
exec python3 "$here/likes.py" "$@"
