"""
Keys that are times: by the order of what happens, not by a clock. Where two workers differ in such a key alone and the one
with the longer time began first, it is the other one that comes to its end.
"""
import contextlib
import os
import signal

import pytest

from harness import configs, health, proc
from harness.record import Record
from test_health import http, ward

SOON = {"initial": "10ms", "max": "10ms", "jitter": 0}
READY_FIRST = {"order": "ready-first", "canary": False}


# --- how a worker ends

ENDS = {
    "disconnect_timeout": (["--silent"], {}, "signal SIGTERM"),
    "drain_grace": (["--deaf"], {"drain_signal": "USR1", "disconnect_timeout": "1h"}, "signal SIGUSR1"),
    "stop_timeout": (["--silent", "--ignore=SIGTERM"], {"disconnect_timeout": "50ms"}, None),
}


@pytest.mark.key("programs.NAME.disconnect_timeout", "programs.NAME.drain_grace", "programs.NAME.stop_timeout")
@pytest.mark.parametrize("key", ENDS)
def test_the_shorter_time_ends_first(master, directory, key):
    """Two are told one after the other, the one with the longer time first: it is the second that is ended."""
    options, common, expected = ENDS[key]
    records = {name: Record(directory / name) for name in ("long", "short")}
    one = master({"programs": {
        name: {"command": configs.recorder(record.path, *options), "start_seconds": "10ms", "reload": READY_FIRST, **common, key: value}
        for (name, record), value in zip(records.items(), ("1h", "300ms"))}})
    old = {name: record.wait(event="start")[0]["pid"] for name, record in records.items()}
    for name in records:
        one.ctl("reload", name, code=0)
    if expected:
        records["short"].wait(pid=old["short"], event="signal")
    proc.wait_gone(old["short"])
    assert proc.is_running(old["long"])
    if expected:
        assert expected in records["short"].words(pid=old["short"])
        assert not records["long"].entries(pid=old["long"], event="signal")
    # Even a forced shutdown leaves them their stop_timeout.
    one.kill(signal.SIGQUIT)
    for pid in set(proc.children(one.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    one.wait_end()


@pytest.mark.key("programs.NAME.start_timeout")
def test_start_timeout(master, directory):
    """Neither says that it is ready; one is told to stop, and another one is tried in its place."""
    records = {name: Record(directory / name) for name in ("long", "short")}
    one = master({"programs": {
        name: {"command": configs.recorder(record.path), "ready": "notify", "start_timeout": value, "backoff": SOON}
        for (name, record), value in zip(records.items(), ("1h", "500ms"))}}, ready=False)
    records["short"].wait(count=2, event="signal", what="SIGTERM")
    records["long"].wait(event="start")
    assert "signal SIGTERM" not in records["long"].words()
    one.stop(signal.SIGQUIT)


# --- when a worker is started again

class Starts:
    """Each start of a worker is a line, with its slot, in a file of its program."""

    def __init__(self, directory, *names):
        self.paths = {name: directory / f"{name}.starts" for name in names}
        for path in self.paths.values():
            path.touch()

    def command(self, name, then="exit 3"):
        return ["sh", "-c", f"echo $RELOADER_SLOT >> {self.paths[name]}; {then}"]

    def count(self, name):
        return len(self.paths[name].read_text().split())

    def of_slots(self, name, slots):
        seen = self.paths[name].read_text().split()
        return [seen.count(str(slot)) for slot in range(slots)]

    def wait(self, name, count):
        proc.wait_until(lambda: self.count(name) >= count, f"{name} was started {count} times")


BACKOFFS = {
    "initial": ({"max": "2h", "factor": 1}, "10ms", "1h", 1),
    "factor": ({"initial": "20ms", "max": "1h"}, 1, 100, 3),
    "max": ({"initial": "20ms", "factor": 100}, "20ms", "1h", 3),
}


@pytest.mark.key("programs.NAME.backoff.initial", "programs.NAME.backoff.factor", "programs.NAME.backoff.max")
@pytest.mark.parametrize("key", BACKOFFS)
def test_backoff(master, directory, key):
    """Two crash as often as they may; one may hardly."""
    common, small, large, most = BACKOFFS[key]
    starts = Starts(directory, "often", "rarely")
    master({"programs": {name: {"command": starts.command(name), "backoff": {**common, "jitter": 0, key: value}}
                         for name, value in (("often", small), ("rarely", large))}}, ready=False)
    starts.wait("often", 8)
    starts.wait("rarely", 1)
    assert starts.count("rarely") <= most


@pytest.mark.key("programs.NAME.backoff.jitter")
def test_backoff_jitter(master, directory):
    """Slots that crash together do not march in step: in the end one is some rounds ahead of another."""
    starts = Starts(directory, "crowd")
    master({"programs": {"crowd": {"command": starts.command("crowd"), "workers": 8,
                                   "backoff": {"initial": "200ms", "max": "200ms", "factor": 1, "jitter": 1}}}}, ready=False)

    def apart():
        counts = starts.of_slots("crowd", 8)
        return max(counts) - min(counts) >= 5
    proc.wait_until(apart, "one is five rounds ahead of another")


@pytest.mark.key("programs.NAME.start_seconds")
def test_start_seconds(master, directory):
    """restart: never is about workers that had started. One that left too early had not, and is tried again."""
    starts = Starts(directory, "early", "done")
    master({"programs": {name: {"command": starts.command(name, "exit 0"), "restart": "never", "start_seconds": value, "backoff": SOON}
                         for name, value in (("done", "0s"), ("early", "1h"))}}, ready=False)
    starts.wait("early", 5)
    starts.wait("done", 1)
    assert starts.count("done") == 1


@pytest.mark.key("programs.NAME.max_restarts.within")
def test_max_restarts_within(master, directory):
    """Both crash twice a second; one counts restarts of a second, in which there are never more than three, one those of an hour."""
    starts = Starts(directory, "second", "hour")
    backoff = {"initial": "500ms", "max": "500ms", "factor": 1, "jitter": 0}
    one = master({"programs": {name: {"command": starts.command(name), "start_seconds": "0s", "backoff": backoff,
                                      "max_restarts": {"count": 3, "within": value}}
                               for name, value in (("hour", "1h"), ("second", "1s"))}}, ready=False)
    starts.wait("second", 7)
    one.wait_line("hour: slot 0 is FATAL")
    assert starts.count("hour") == 4
    assert not one.log.find("second: slot 0 is FATAL")


# --- when a worker is replaced

@pytest.mark.key("programs.NAME.recycle.jitter")
def test_recycle_jitter(master):
    """Each worker has an age of its own: of many, one's is reached long before what all have in the middle."""
    one = master({"programs": {"old": {"command": ["sleep", "1000"], "workers": 64, "start_seconds": "10ms",
                                       "recycle": {"max_age": "1m", "jitter": 1}}}})
    before = one.pids()
    proc.wait_until(lambda: not all(map(proc.is_running, before)), "one was replaced")


@pytest.mark.key("programs.NAME.reload_delay")
def test_reload_delay(master, directory):
    """What changed first waits longer."""
    programs = {}
    for name, delay in (("long", "1h"), ("short", "200ms")):
        (directory / name).write_text("1")
        programs[name] = {"command": ["sleep", "1000"], "start_seconds": "10ms", "watch": [name], "reload_delay": delay, "reload": READY_FIRST}
    one = master({"programs": programs})
    before = one.pids()
    for name in programs:
        (directory / name).write_text("2")
        one.wait(lambda _, name=name: name == "long" or one.pids(name)[:1] not in ([], before[1:]), f"what follows {name}")
    assert one.pids("long") == before[:1] and proc.is_running(before[0])


HEALTH = {
    "failures": ("500", {"interval": "100ms"}, 2, 1000),
    "timeout": ("hang", {"interval": "100ms", "failures": 1}, "200ms", "50s"),
}


@pytest.mark.key("programs.NAME.health.failures", "programs.NAME.health.timeout")
@pytest.mark.parametrize("key", HEALTH)
def test_health(master, directory, key):
    """Of two that never answer well, one is replaced again and again, the other is not given up yet."""
    answer, common, small, large = HEALTH[key]
    health.ask(directory, "answer", answer)
    config = {"programs": {}}
    for name, value in (("patient", large), ("strict", small)):
        config["programs"][name] = ward(directory, workers=1, health=http(f"/{name}", **common, **{key: value}))["programs"]["ward"]
    one = master(config)

    def asked(name):
        """Pids of those that were asked, in order."""
        return list(dict.fromkeys(pid for _, pid, path, _ in health.requests(directory) if path == f"/{name}"))
    proc.wait_until(lambda: len(asked("strict")) >= 4 and asked("patient"), "three were replaced")
    assert len(asked("patient")) == 1 and proc.is_running(int(asked("patient")[0]))
    one.stop(signal.SIGQUIT)
