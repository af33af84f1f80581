"""Likes over HTTP, measured: throughput, latency, CPU, memory, durability, and beside each figure a bare epoll loop.

The ratio to the bare loop is what travels from machine to machine; load generator and server share this one.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
build = ROOT / "build" / "release"  # --build
LUA = ROOT / "bench" / "likes.lua"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


class Hearth:
    """`hearth serve` on a data folder, until the end of the with block."""

    def __init__(self, data, *flags):
        began = time.monotonic()
        self.process = subprocess.Popen(
            [build / "hearth", "serve", "--listen=127.0.0.1:0", f"--data={data}", "--log.level=warning", *flags],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.start_seconds = time.monotonic() - began
        if not line.startswith("listening on "):
            sys.exit("hearth did not start")
        self.url = line.split()[-1]
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def metrics(self):
        with urllib.request.urlopen(self.url + "/metrics") as answer:
            text = answer.read().decode()
        return {name: float(value) for name, value in re.findall(r"^(hearth_\w+) (\S+)$", text, re.MULTILINE)}

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


class BareLoop:
    def __init__(self, threads):
        port = free_port()
        self.process = subprocess.Popen([build / "bench" / "bare_loop", str(port), str(threads)])
        self.pid = self.process.pid
        self.url = f"http://127.0.0.1:{port}"
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.01)
        sys.exit("the bare loop did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def load(server, connections, seconds, script=LUA, **settings):
    """One run of wrk; adds the server's CPU per request to what wrk reports."""
    environment = dict(os.environ, **{name: str(value) for name, value in settings.items()})
    before = cpu_seconds(server.pid)
    output = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, server.url],
        env=environment, capture_output=True, text=True, check=True).stdout
    result = json.loads(output.split("RESULT ", 1)[1])
    result["per_second"] = result["requests"] / result["seconds"]
    result["cpu_us"] = (cpu_seconds(server.pid) - before) / max(1, result["requests"]) * 1e6
    return result


class Comparison:
    """Hearth under a load, warmed up, and then the bare loop under the same. A second is only to see that it works."""

    def __init__(self, name, connections, seconds, data_root, flags=(), prepare=None, script=LUA, **settings):
        self.name = name
        with tempfile.TemporaryDirectory(dir=data_root) as data, Hearth(data, *flags) as hearth:
            if prepare:
                prepare(hearth)
            if seconds > 1:
                load(hearth, connections, max(2, seconds // 5), script, SEED=1, **settings)
            self.start = hearth.metrics()
            self.result = load(hearth, connections, seconds, script, SEED=2, **settings)
            self.end = hearth.metrics()
            self.memory_mib = resident_mib(hearth.pid)
        with BareLoop(os.cpu_count()) as bare:
            if seconds > 1:
                load(bare, connections, 2, script, SEED=1, **settings)
            self.limit = load(bare, connections, min(seconds, max(3, seconds // 2)), script, SEED=2, **settings)
        self.errors = self.result["status_errors"] + self.result["socket_errors"]

    def change(self, metric):
        return self.end[metric] - self.start[metric]

    def print(self, per_request=1):
        result, limit = self.result, self.limit
        print(f"{self.name:<34} {result['per_second'] * per_request:>10,.0f}/s  p50 {result['p50_ms']:>7.2f}  p99 {result['p99_ms']:>7.2f} ms"
              f"  {result['cpu_us']:>7.1f} µs CPU  errors {self.errors}"
              f"  | bare loop {limit['per_second'] * per_request:>9,.0f}/s {limit['cpu_us']:>5.1f} µs"
              f"  ratio {result['per_second'] / limit['per_second']:.2f}", flush=True)

    def expect_no_errors(self):
        if self.errors:
            sys.exit(f"{self.name}: {self.errors} requests failed")


def beside_bare_loop(name, connections, seconds, data_root, per_request=1, **settings):
    run = Comparison(name, connections, seconds, data_root, **settings)
    run.print(per_request)
    print(f"{'':<34}   outbox {run.start['hearth_outbox_bytes'] / 1e6:.1f} → {run.end['hearth_outbox_bytes'] / 1e6:.1f} MB,"
          f" {run.change('hearth_flusher_events_total'):,.0f} events flushed as {run.change('hearth_flusher_rows_total'):,.0f} rows and"
          f" {run.change('hearth_flusher_posts_total'):,.0f} counts in {run.change('hearth_flusher_batches_total'):.0f} transactions,"
          f" {run.memory_mib:.0f} MiB", flush=True)
    run.expect_no_errors()


def print_machine():
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    model = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    print(f"commit {commit}, {os.cpu_count()} × {model.group(1) if model else 'CPU'}, Linux {os.uname().release}; wrk -t1 on the same machine")


def use_build(path):
    """The build that is measured; wrk must be there."""
    global build
    build = path.resolve()
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: ./dev bench installs it")


def throughput(options, data_root):
    seconds = options.seconds
    for durability in ("commit", "relaxed"):
        for connections in (64,) if options.toy else (64, 256):
            beside_bare_loop(f"toggle, {durability}, {connections} connections", connections, seconds, data_root,
                             flags=[f"--durability={durability}"], MODE="toggle")
    if not options.toy:
        beside_bare_loop("toggle, browser headers, 64", 64, seconds, data_root, MODE="toggle", HEADERS="browser")
        beside_bare_loop("toggle, UUID posts, 64", 64, seconds, data_root, MODE="toggle", IDS="uuid")
    beside_bare_loop("toggle, UUID posts, browser, 64", 64, seconds, data_root, MODE="toggle", IDS="uuid", HEADERS="browser")
    fill = lambda hearth: load(hearth, 64, min(seconds, max(2, seconds // 2)), MODE="batch", SEED=9)
    beside_bare_loop("merge of 50 posts, 64", 64, seconds, data_root, MODE="merge", prepare=fill)
    if not options.toy:
        beside_bare_loop("merge of 50 UUID posts, 64", 64, seconds, data_root, MODE="merge", IDS="uuid")
    beside_bare_loop("batch of 100 toggles, 64 (toggles)", 64, seconds, data_root, MODE="batch", per_request=100)


def sustained(options, data_root):
    beside_bare_loop(f"unique likes for {options.sustained} s, 64", 64, options.sustained, data_root, MODE="unique", SESSIONS=2 ** 40)


def memory_and_start(options, data_root):
    """Generates, imports and serves options.likes likes; says what a like costs in memory and how long the start takes."""
    lines = pathlib.Path(data_root) / "likes.ndjson"
    data = pathlib.Path(data_root) / "large"
    likes = options.likes
    print(f"{likes:,} likes of {likes // 10:,} UUID sessions on {likes // 100:,} posts:", flush=True)
    began = time.monotonic()
    subprocess.run([build / "hearth", "generate", f"--posts={likes // 100}", f"--sessions={likes // 10}", f"--likes={likes}", "--seed=1",
                    f"--out={lines}"], check=True)
    generated = time.monotonic()
    subprocess.run([build / "hearth", "import", lines, f"--data={data}", "--log.level=warning"], check=True, stdout=subprocess.DEVNULL)
    imported = time.monotonic()
    print(f"  generated in {generated - began:.1f} s, imported in {imported - generated:.1f} s;"
          f" {sum(f.stat().st_size for f in data.iterdir()) / likes:.1f} bytes a like on disk", flush=True)
    with Hearth(data) as hearth:
        empty = resident_mib(hearth.pid)
        print(f"  ready {hearth.start_seconds:.3f} s after the start", flush=True)
        posts = [json.loads(line)["id"] for line in lines.open() if line.startswith('{"type":"post"')]
        for at in range(0, len(posts), 1000):
            hearth.post("/api/likes/statuses", {"postIds": posts[at:at + 1000], "sessionId": "nobody"})
        metrics = hearth.metrics()
        counts = [hearth.post("/api/likes/counts", {"postIds": posts[at:at + 1000]})["counts"] for at in range(0, len(posts), 1000)]
        total = sum(sum(part.values()) for part in counts)
        if total != likes:
            sys.exit(f"the counts add up to {total:,}, not {likes:,}")
        print(f"  all in memory: {metrics['hearth_likes_memory_bytes'] / likes:.1f} bytes a like counted,"
              f" {(resident_mib(hearth.pid) - empty) * 1024 * 1024 / likes:.1f} by the growth of the process", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="of each measured run (default 10)")
    parser.add_argument("--sustained", type=int, default=60, help="seconds of the run of unique likes (default 60)")
    parser.add_argument("--likes", type=int, default=10_000_000, help="for memory and start-up (default 10,000,000)")
    parser.add_argument("--only", choices=["throughput", "sustained", "memory"], help="one part instead of all")
    parser.add_argument("--build", type=pathlib.Path, default=build, help="the build to measure (default build/release)")
    parser.add_argument("--toy", action="store_true", help="each kind of run once and short: shows that it works, not how fast")
    options = parser.parse_args()
    if options.toy:
        options.seconds, options.sustained, options.likes = 1, 1, 20_000
    use_build(options.build)
    print_machine()
    print("durability is commit (answered after the sync) unless the line says relaxed\n", flush=True)
    parts = {"throughput": throughput, "sustained": sustained, "memory": memory_and_start}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DATA", ROOT / "build")) as data_root:
        for name, part in parts.items():
            if options.only in (None, name):
                part(options, data_root)


if __name__ == "__main__":
    main()
