#!/usr/bin/env bash
# Views over HTTP, each figure beside a bare epoll loop of the same run: bench/views.py --help
exec python3 "$(dirname "$0")/views.py" "$@"
