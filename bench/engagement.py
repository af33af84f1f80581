"""What bench/views.py and bench/ratelimit.py have in common: their load, and Hearth on Redis and PostgreSQL."""

import argparse
import contextlib
import os
import pathlib
import sys
import tempfile

import likes
from likes import ROOT, Hearth, cpu_seconds, load, resident_mib
from stores import Postgres, Redis

LUA = ROOT / "bench" / "engagement.lua"


def options_of(description, **parts):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=int, default=10, help="of each measured run (default 10)")
    parser.add_argument("--only", choices=list(parts), help="one part instead of all")
    parser.add_argument("--build", type=pathlib.Path, default=likes.build, help="the build to measure (default build/release)")
    parser.add_argument("--toy", action="store_true", help="each kind of run once and short: shows that it works, not how fast")
    options = parser.parse_args()
    if options.toy:
        options.seconds = 1
    return options


def run_parts(options, **parts):
    likes.use_build(options.build)
    likes.print_machine()
    print("durability is commit (answered after the sync) unless the line says otherwise\n", flush=True)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DATA", ROOT / "build")) as root:
        os.chmod(root, 0o755)  # PostgreSQL's user goes through it
        for name, part in parts.items():
            if options.only in (None, name):
                part(options, root)


@contextlib.contextmanager
def on_redis(root, appendfsync):
    """Hearth, its Redis and its PostgreSQL."""
    with Redis(root, appendfsync) as redis, Postgres(root) as postgres, tempfile.TemporaryDirectory(dir=root) as data, Hearth(
            data, f"--redis-url={redis.url}", f"--database-url={postgres.url}") as hearth:
        yield hearth, redis


def measure_on_redis(name, hearth, redis, options, **settings):
    """Prints the figure, and what Redis can do at most: PING by as many clients, without Hearth."""
    load(hearth, 64, max(1, options.seconds // 5), LUA, SEED=1, **settings)
    before = cpu_seconds(redis.pid)
    result = load(hearth, 64, options.seconds, LUA, SEED=2, **settings)
    redis_cpu = (cpu_seconds(redis.pid) - before) / max(1, result["requests"]) * 1e6
    errors = result["status_errors"] + result["socket_errors"]
    print(f"{name:<34} {result['per_second']:>10,.0f}/s  p50 {result['p50_ms']:>7.2f}  p99 {result['p99_ms']:>7.2f} ms"
          f"  {result['cpu_us']:>7.1f} µs CPU, Redis {redis_cpu:.1f}  errors {errors}  {resident_mib(hearth.pid):.0f} MiB", flush=True)
    if errors:
        sys.exit(f"{name}: {errors} requests failed")
    return result["per_second"]
