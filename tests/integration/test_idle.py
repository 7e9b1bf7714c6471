"""What the master costs when nothing happens."""
import os
import select

import pytest

from harness import configs, proc


def switches(pid):
    return int(proc.field(pid, "voluntary_ctxt_switches")) + int(proc.field(pid, "nonvoluntary_ctxt_switches"))


def rests(pid):
    before = switches(pid)
    select.select([], [], [], 1)
    return switches(pid) == before and proc.stat(pid)[0] == b"S"


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ or "RELOADER_WRAPPER" in os.environ, reason="measures the plain build")
@pytest.mark.limit(90)
@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_idle_master(master, port, seconds):
    """No wake-up, one thread, a PSS below 2 MB with 4 workers."""
    one = master(configs.echo(f"127.0.0.1:{port}"))
    one.hup()
    one.wait_drained()
    # Connections of ours have ended; when it has come to rest, it is idle for the time of the observation.
    one.descriptors()
    proc.wait_until(lambda: rests(one.pid), "a second without a wake-up")
    before = switches(one.pid)
    select.select([], [], [], seconds)
    assert switches(one.pid) == before
    assert proc.field(one.pid, "Threads") == "1"
    pss = next(int(line.split()[1]) for line in proc.read(one.pid, "smaps_rollup").decode().splitlines() if line.startswith("Pss:"))
    assert pss < 2048, f"{pss} kB"
