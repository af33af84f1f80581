"""Views over HTTP, measured: throughput, latency, CPU, memory, beside a bare epoll loop; and on Redis and PostgreSQL.

The ratio to the bare loop is what travels from machine to machine; load generator and server share this one.
"""

import tempfile

from engagement import LUA, measure_on_redis, on_redis, options_of, run_parts
from likes import Comparison, Hearth, load, resident_mib


def throughput(options, root):
    for name, mode, flags in [("views, 100,000 stories", "view", []), ("views, relaxed", "view", ["--durability=relaxed"]),
                              ("views, each the first of its viewer", "unique", [])]:
        run = Comparison(name, 64, options.seconds, root, script=LUA, flags=flags, MODE=mode)
        run.print()
        run.expect_no_errors()


def memory(options, root):
    """What a viewer who is remembered costs, on one story and spread over many."""
    for name, items in [("on one story", 1), ("on 100,000 stories", 100_000)]:
        with tempfile.TemporaryDirectory(dir=root) as data, Hearth(data) as hearth:
            load(hearth, 64, 1, LUA, MODE="unique", ITEMS=items, SEED=1)
            start, before = hearth.metrics(), resident_mib(hearth.pid)
            load(hearth, 64, 3 * options.seconds, LUA, MODE="unique", ITEMS=items, SEED=2)
            end = hearth.metrics()
            remembered = end["hearth_views_seen_viewers"] - start["hearth_views_seen_viewers"]
            print(f"{remembered:,.0f} viewers {name}: {end['hearth_views_seen_bytes'] / end['hearth_views_seen_viewers']:.1f} bytes each counted,"
                  f" {(resident_mib(hearth.pid) - before) * 1024 * 1024 / max(1, remembered):.1f} by the growth of the process", flush=True)


def scaled(options, root):
    for appendfsync in ("everysec",) if options.toy else ("everysec", "always"):
        with on_redis(root, appendfsync) as (hearth, redis):
            measure_on_redis(f"views on Redis, {appendfsync}", hearth, redis, options, MODE="view")


PARTS = {"throughput": throughput, "memory": memory, "scaled": scaled}
run_parts(options_of(__doc__, **PARTS), **PARTS)
