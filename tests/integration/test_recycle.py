"""Workers that grow too old or too large are replaced, one at a time, and nobody notices."""
import os
import signal

import pytest
from harness import Load, configs, proc
from harness.paths import PYTHON


def drains(one):
    """Names of those that were told, in order."""
    return [line.split(" info ")[1].split(":")[0] for line in one.log.read() if line.endswith(": draining")]


@pytest.mark.key("programs.NAME.recycle.max_age")
@pytest.mark.parametrize("reload", [{}, {"order": "ready-first"}, {"order": "drain-first", "canary": False, "max_surge": 0}],
                         ids=["default", "ready-first", "no surge"])
def test_age_under_load(master, directory, port, reload):
    one = master(configs.echo(port, workers=3, recycle={"max_age": "1s", "jitter": 0}, reload=reload))
    before = one.pids()
    with Load(directory, f"127.0.0.1:{port}", 500, 10) as load:
        one.wait(lambda status: not set(before) & set(one.pids(status=status)) and len(one.pids(status=status)) == 3, "all were replaced")
        load.flow(0.1)
    assert one.generation() == 1, "it is no reload"
    assert not one.call("History")["reloads"]
    lines = [line for line in one.log.read() if "(max_age is 1" in line]
    assert len(lines) >= 3


def test_one_at_a_time(master, directory, port):
    """The next successor is not even started before the one before it has taken over."""
    one = master(configs.echo(port, workers=4, recycle={"max_age": "1s", "jitter": 0}))
    one.wait(lambda _: len(drains(one)) >= 4, "four were told")
    coming = 0
    for line in one.log.text().partition("max_age")[2].splitlines():
        coming += ": up, pid" in line
        coming -= ": draining" in line
        assert coming in (0, 1), one.failure("two at a time")


GROWS = """
import os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: globals().update(ballast=b"x" * (80 << 20)))
os.write(int(os.environ["RELOADER_CHANNEL_FD"]), b'"ready"\\n')
while True: time.sleep(1)
"""


@pytest.mark.key("programs.NAME.recycle.max_memory")
def test_memory(master):
    one = master({"programs": {"leaky": {
        "command": [PYTHON, "-S", "-c", GROWS], "workers": 3, "ready": "message", "recycle": {"max_memory": "60M"}}}})
    first, second, third = one.pids()
    proc.wait_until(lambda: proc.catches(second, signal.SIGUSR1), "it is far enough not to die of that")
    os.kill(second, signal.SIGUSR1)
    one.wait_line(r"leaky/1: has \d+ MB of memory, and max_memory is 60 MB: replacing it")
    proc.wait_until(lambda: not proc.is_running(second), "it is gone")
    after = one.pids()
    assert (after[0], after[2]) == (first, third) and after[1] != second
    log = one.log.text()
    assert log.rindex("leaky/1: ready") < log.rindex("leaky/1: draining"), "its successor was ready first"


def test_a_successor_that_fails(master, directory):
    mark = directory / "broken"
    one = master({"programs": {"old": {
        **configs.healthy_without(mark), "recycle": {"max_age": "1s", "jitter": 0},
        "backoff": {"initial": "10ms", "max": "50ms", "jitter": 0}}}})
    mark.touch()
    # A successor that was started before there was the mark may still take over, but not beside one that fails.
    one.wait_line("old/0: died, pid .*, exited with 9")
    before = one.pids()
    one.wait_line("old/0: died, pid .*, exited with 9", times=4)
    assert one.pids() == before
    mark.unlink()
    one.wait(lambda _: one.pids() not in ([], before), "it was replaced")


def test_not_during_a_reload(master, directory):
    """What the reload holds up is replaced when it is over."""
    gate = directory / "gate"
    one = master({"programs": {"old": {
        "command": ["sh", "-c", "exec sleep 1000"], "workers": 2, "start_seconds": 0, "recycle": {"max_age": "8s", "jitter": 0},
        "reload": {"canary": True}}}})
    one.programs["old"]["command"] = ["sh", "-c", f'while [ ! -e "{gate}" ]; do sleep 0.05; done; exit 1']
    one.programs["old"]["start_seconds"] = "30s"
    before = one.pids()
    one.write()
    with one.connect() as waiting:
        waiting.send("Reload")
        one.wait_line("old/0: up, pid .*, generation 2")
        one.wait(lambda status: status["programs"][0]["slots"][0]["workers"][0]["since_usec"] > 0
                 and status["master"]["uptime_usec"] > 10_000_000, "they are old enough")
        assert set(before) <= set(proc.children(one.pid))
        gate.touch()
        assert waiting.receive()["parameters"]["result"] == "rolled_back"
    one.wait(lambda status: len(one.pids(status=status)) == 2 and not set(before) & set(one.pids(status=status)), "they were replaced")
