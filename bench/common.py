"""What the runs share: the harness of the integration tests, a network and a directory of one's own, medians."""
import argparse
import contextlib
import datetime
import os
import pathlib
import select
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "integration"))

from harness import BINARIES, Load, Master, configs, isolation, proc  # noqa: E402, F401
from harness.paths import BUILD, PYTHON, TOP  # noqa: E402, F401

BARE_SPAWN = str(BUILD / "bench" / "bare-spawn")


def arguments(description, **defaults):
    """--name VALUE for each default, of its type."""
    parser = argparse.ArgumentParser(description=description)
    for name, value in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value, help=f"default: {value}")
    return parser


class MeasuredLoad(Load):
    """Load whose failures are reported by the run instead of ending it."""

    LINGER = ()  # loadgen's own

    def check(self):
        pass


TMPFS = "/dev/shm"


@contextlib.contextmanager
def place():
    """
    A directory, in a network of its own (as root); no process is left behind. On a tmpfs where there is one, as runtime
    directories are: the workers' notify sockets have names in it, which cost several times as much on a disk.
    """
    isolation.become_subreaper()
    network = isolation.Network()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rl-bench-", dir=TMPFS if os.access(TMPFS, os.W_OK) else None))
    try:
        yield directory
    finally:
        left = isolation.kill_children()
        network.leave()
        shutil.rmtree(directory, ignore_errors=True)
        if left:
            print("processes left behind:", left, file=sys.stderr)


@contextlib.contextmanager
def running(directory, config, wait=True):
    """A master, once all of its workers are ready (unless not to be waited for); stopped at the end."""
    master = Master(directory, config)
    try:
        if wait:
            master.wait_ready()
        yield master
    finally:
        master.process.terminate()
        try:
            master.process.wait(60)
        finally:
            master.process.kill()


def await_lines(master, text, count=1, seconds=60):
    """
    Waits for `count` lines with `text`; when the master wrote the last of them, as time.time() would have it, to the millisecond.
    Looks now and then only: whoever follows a log line by line takes CPU from what is measured.
    """
    deadline = time.monotonic() + seconds
    while len(found := [line for line in master.log.read() if text in line]) < count:
        if time.monotonic() > deadline:
            raise master.failure(f"not after {seconds} s: {text}")
        select.select([], [], [], 0.2)
    return datetime.datetime.fromisoformat(found[count - 1].split()[0].replace("Z", "+00:00")).timestamp()


def cpu_seconds(pid):
    """CPU time of a process to the nanosecond, as the scheduler counts it."""
    total = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def context_switches(pid):
    return sum(int(proc.field(pid, kind + "voluntary_ctxt_switches")) for kind in ("", "non"))


def pss_kib(pid):
    for line in proc.read(pid, "smaps_rollup").decode().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise KeyError("Pss")


def spread(values, unit="", digits=3):
    """median (lowest to highest)"""
    return f"{statistics.median(values):.{digits}f}{unit} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def loop_delay(master):
    """What the master's histogram says of its loop: how many turns, and which bound 99.9 % of them kept."""
    buckets = master.status()["master"]["loop_delays"]
    total = buckets[-1]["count"]
    bound = next(bucket.get("most_usec") for bucket in buckets if bucket["count"] >= total * 0.999)
    return f"{total} turns of the loop, 99.9 % waited " + (f"at most {bound / 1000:g} ms" if bound else "longer than a second")
