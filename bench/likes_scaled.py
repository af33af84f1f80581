"""Likes over HTTP on Redis and PostgreSQL, measured beside redis-benchmark with the same script in the same run.

Load generator, Hearth, Redis and PostgreSQL share this machine. Each figure names Redis' appendfsync.
"""

import argparse
import csv
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import likes
from likes import ROOT, Hearth, cpu_seconds, load, resident_mib
from stores import Postgres, Redis

SCRIPT = ROOT / "hearth" / "likes" / "stores" / "redis" / "change.lua"


class LagWatch:
    """The most entries that waited for SQL, seen every 200 ms."""

    def __init__(self, hearth):
        self.hearth, self.most, self.is_over = hearth, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.is_over.wait(0.2):
            self.most = max(self.most, self.hearth.metrics()["hearth_outbox_entries"])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()


def script_alone(redis, calls, clients):
    """The throughput of the toggle script without Hearth: one change a call, 64 clients, not pipelined."""
    keys = ["hearth:outbox:0", "post:likes:bench", "post:liked:bench", "session:likes:__rand_int__", "post:version:bench"]
    sha = redis.cli("SCRIPT", "LOAD", SCRIPT.read_text())
    redis.cli("SET", "post:version:bench", "1")
    arguments = [str(int(time.time() * 1e6)), "0", "600000", "bench", "__rand_int__", "t", str(int(time.time() * 1e6))]
    output = subprocess.run(
        ["redis-benchmark", "-p", str(redis.port), "-c", str(clients), "-n", str(calls), "-r", "500000", "--csv", "EVALSHA", sha,
         str(len(keys)), *keys, *arguments], capture_output=True, text=True, check=True).stdout
    header, row = list(csv.reader(output.splitlines()))[-2:]
    figures = dict(zip(header, row))
    return float(figures["rps"]), float(figures["p50_latency_ms"]), float(figures["p99_latency_ms"])


def drain(hearth, redis):
    began = time.monotonic()
    hearth.post("/api/admin/flush", {})
    return time.monotonic() - began


def toggles(options, root, appendfsync, connections):
    with Redis(root, appendfsync) as redis, Postgres(root) as postgres, tempfile.TemporaryDirectory(dir=root) as data, Hearth(
            data, f"--redis-url={redis.url}", f"--database-url={postgres.url}") as hearth:
        load(hearth, connections, max(1, options.seconds // 5), SEED=1, MODE="toggle")
        drain(hearth, redis)
        before = hearth.metrics()
        redis_cpu, postgres_cpu = cpu_seconds(redis.pid), postgres.cpu_seconds()
        with LagWatch(hearth) as lag:
            result = load(hearth, connections, options.seconds, SEED=2, MODE="toggle")
        drained = drain(hearth, redis)
        after = hearth.metrics()
        redis_cpu = (cpu_seconds(redis.pid) - redis_cpu) / max(1, result["requests"]) * 1e6
        postgres_cpu = (postgres.cpu_seconds() - postgres_cpu) / max(1, result["requests"]) * 1e6
        memory = resident_mib(hearth.pid)
    with Redis(root, appendfsync) as redis:
        alone, alone_p50, alone_p99 = script_alone(redis, int(options.seconds * 40_000), connections)
    errors = result["status_errors"] + result["socket_errors"]
    events = after["hearth_flusher_events_total"] - before["hearth_flusher_events_total"]
    print(f"toggle, {appendfsync}, {connections} connections".ljust(34) +
          f" {result['per_second']:>9,.0f}/s  p50 {result['p50_ms']:.2f}  p99 {result['p99_ms']:.2f} ms  errors {errors}"
          f"  | redis-benchmark, same script {alone:,.0f}/s p50 {alone_p50:.2f} p99 {alone_p99:.2f} ms  ratio {result['per_second'] / alone:.2f}")
    print(" " * 34 + f" CPU a toggle: Hearth {result['cpu_us']:.1f} µs, Redis {redis_cpu:.1f}, PostgreSQL {postgres_cpu:.1f}; {memory:.0f} MiB;"
          f" flushed {events:,.0f} events, lag at most {lag.most:,.0f} entries, drained in {drained:.2f} s", flush=True)
    if errors:
        sys.exit(f"{errors} requests failed")


def merges(options, root):
    with Redis(root, "everysec") as redis, Postgres(root) as postgres, tempfile.TemporaryDirectory(dir=root) as data, Hearth(
            data, f"--redis-url={redis.url}", f"--database-url={postgres.url}") as hearth:
        load(hearth, 64, max(1, options.seconds // 3), MODE="batch", SEED=9)
        load(hearth, 64, max(1, options.seconds // 5), MODE="merge", SEED=1)
        result = load(hearth, 64, options.seconds, MODE="merge", SEED=2)
    errors = result["status_errors"] + result["socket_errors"]
    print("merge of 50 posts, 64 connections".ljust(34) +
          f" {result['per_second']:>9,.0f}/s  p50 {result['p50_ms']:.2f}  p99 {result['p99_ms']:.2f} ms  {result['cpu_us']:.1f} µs CPU  errors {errors}",
          flush=True)


def rows_written(options, root):
    """What PostgreSQL is made to write by many likes of few posts."""
    with Redis(root, "everysec") as redis, Postgres(root) as postgres, tempfile.TemporaryDirectory(dir=root) as data, Hearth(
            data, f"--redis-url={redis.url}", f"--database-url={postgres.url}") as hearth:
        before = hearth.metrics()
        total = 0
        seed = 0
        while total < options.likes:
            seed += 1
            total += load(hearth, 64, 1, SEED=seed, MODE="batch", POSTS=1000, SESSIONS=20000)["requests"] * 100
        drain(hearth, redis)
        after = hearth.metrics()
        counted = int(postgres.query("SELECT count(*) FROM post_ratings"))
        summed = int(postgres.query("SELECT sum(likes) FROM post_counts"))
    moved = {name: after[f"hearth_flusher_{name}_total"] - before[f"hearth_flusher_{name}_total"] for name in ("events", "rows", "posts", "batches")}
    share = 100_000 / moved["events"]
    print(f"{moved['events']:,.0f} likes on 1,000 skewed posts; of each 100,000: {moved['rows'] * share:,.0f} rows of ratings,"
          f" {moved['posts'] * share:,.0f} counts, {moved['batches'] * share:.1f} transactions", flush=True)
    if counted != summed:
        sys.exit(f"SQL has {counted} ratings and counts {summed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with", dest="parts", default="redis,postgres", choices=["redis,postgres"], help="what Hearth runs on")
    parser.add_argument("--seconds", type=int, default=10, help="of each measured run (default 10)")
    parser.add_argument("--likes", type=int, default=100_000, help="for the rows written (default 100,000)")
    parser.add_argument("--build", type=pathlib.Path, default=likes.build, help="the build to measure (default build/release)")
    parser.add_argument("--toy", action="store_true", help="each kind of run once and short: shows that it works, not how fast")
    options = parser.parse_args()
    if options.toy:
        options.seconds, options.likes = 1, 1_000
    likes.build = options.build.resolve()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DATA", ROOT / "build")) as root:
        os.chmod(root, 0o755)  # PostgreSQL's user goes through it
        for appendfsync in ("everysec",) if options.toy else ("everysec", "always"):
            for connections in (64,) if options.toy else (64, 256):
                toggles(options, root, appendfsync, connections)
        merges(options, root)
        rows_written(options, root)


main()
