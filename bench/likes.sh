#!/usr/bin/env bash
# Likes over HTTP, each figure beside a bare epoll loop that answers a constant, in the same run.
# Options and what is measured: bench/likes.py --help
set -euo pipefail
exec python3 "$(dirname "$0")/likes.py" "$@"
