#!/usr/bin/env bash
# Background jobs on SQLite and PostgreSQL, each figure beside the limit of the same run: the disk alone, and plain SQL.
#   ./dev bench jobs                  all of it, some minutes: bench/jobs.py --help
#   ./dev bench jobs --peers DIR      beside other queues too: DIR holds jobs-graphile.js, jobs-pgboss.js, … ready to run
set -euo pipefail
exec python3 "$(dirname "$0")/jobs.py" "$@"
