"""Rate limits over HTTP, measured: throughput, latency, CPU, memory, beside a bare epoll loop; and on Redis.

Each check asks for one of 100,000 keys, 100 a minute each. The ratio to the bare loop is what travels from machine to machine;
load generator and server share this one.
"""

import json
import pathlib
import tempfile

from engagement import LUA, measure_on_redis, on_redis, options_of, run_parts
from likes import Comparison, Hearth, load, resident_mib

ALGORITHMS = ("sliding_window", "gcra", "fixed_window")


def algorithms(options):
    return ALGORITHMS[:1] if options.toy else ALGORITHMS


def throughput(options, root):
    for algorithm in algorithms(options):
        run = Comparison(f"check, {algorithm}", 64, options.seconds, root, script=LUA, MODE="check", ALGORITHM=algorithm)
        run.print()
        run.expect_no_errors()
    rules = pathlib.Path(root) / "rules.json"
    rules.write_text(json.dumps({"rules": [{"name": "reads", "routes": ["GET /api/posts/{postId}/likes"], "identity": "address",
                                            "limit": 1_000_000_000, "windowMs": 60_000, "algorithm": "gcra"}]}))
    for name, flags in [("a route without a rule", []), ("the same route with one", [f"--ratelimit.rules_file={rules}"])]:
        run = Comparison(name, 64, options.seconds, root, script=LUA, flags=flags, MODE="limited")
        run.print()
        run.expect_no_errors()


def memory(options, root):
    with tempfile.TemporaryDirectory(dir=root) as data, Hearth(data) as hearth:
        before = resident_mib(hearth.pid)
        load(hearth, 64, 3 * options.seconds, LUA, MODE="check", ITEMS=1_000_000)
        metrics = hearth.metrics()
        keys = metrics["hearth_ratelimit_keys"]
        print(f"{keys:,.0f} keys: {metrics['hearth_ratelimit_memory_bytes'] / keys:.0f} bytes each counted,"
              f" {(resident_mib(hearth.pid) - before) * 1024 * 1024 / keys:.0f} by the growth of the process", flush=True)


def scaled(options, root):
    for algorithm in algorithms(options):
        with on_redis(root, "everysec") as (hearth, redis):
            measure_on_redis(f"check on Redis, {algorithm}", hearth, redis, options, MODE="check", ALGORITHM=algorithm)


PARTS = {"throughput": throughput, "memory": memory, "scaled": scaled}
run_parts(options_of(__doc__, **PARTS), **PARTS)
