"""Redis and PostgreSQL for the benchmarks: each on a free loopback port, with its data below `root`, until the end of the with block."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from likes import cpu_seconds, free_port


def wait_for(command, what):
    for _ in range(300):
        if subprocess.run(command, capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    sys.exit(f"{what} did not start")


class Redis:
    def __init__(self, root, appendfsync):
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=root))
        # No snapshots and no rewriting of the log within a timed run: both favour Redis.
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder, "--appendonly", "yes", "--appendfsync",
             appendfsync, "--save", "", "--auto-aof-rewrite-percentage", "0"], stdout=subprocess.DEVNULL)
        self.pid = self.process.pid
        self.url = f"redis://127.0.0.1:{self.port}"
        wait_for(["redis-cli", "-p", str(self.port), "ping"], "Redis")

    def cli(self, *words):
        return subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, check=True).stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Postgres:
    """A cluster of its own with the settings that Debian ships, which are durable; PostgreSQL does not run as root."""

    def __init__(self, root):
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=root))
        self.data = self.folder / "data"
        self.binaries = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.as_owner = []
        if os.geteuid() == 0:
            self.as_owner = ["runuser", "-u", "postgres", "--"]
            shutil.chown(self.folder, "postgres")
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        self.run("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start")
        self.url = self.url_of("postgres")
        self.pid = int((self.data / "postmaster.pid").read_text().split()[0])
        self.databases = 0

    def run(self, program, *arguments):
        subprocess.run([*self.as_owner, self.binaries / program, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def url_of(self, database):
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def query(self, sql, database="postgres"):
        return subprocess.run(["psql", self.url_of(database), "-v", "ON_ERROR_STOP=1", "-qAtc", sql], capture_output=True, text=True,
                              check=True).stdout.strip()

    def fresh_database(self):
        """Its name. What those before it left in memory is written now, not while something is timed."""
        self.databases += 1
        name = f"bench_{self.databases}"
        self.query(f"CREATE DATABASE {name}")
        self.query("CHECKPOINT")
        return name

    def drop(self, database):
        self.query(f"DROP DATABASE {database} WITH (FORCE)")

    def cpu_seconds(self):
        children = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True).stdout.split()
        return sum(cpu_seconds(pid) for pid in [self.pid, *children] if pathlib.Path(f"/proc/{pid}").exists())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
