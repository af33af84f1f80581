#!/usr/bin/env bash
# Rate limits over HTTP, each figure beside a bare epoll loop of the same run: bench/ratelimit.py --help
exec python3 "$(dirname "$0")/ratelimit.py" "$@"
