"""Keys that no other file observes from outside: of the master itself, words and signals, the steps of a reload, stderr."""
import os
import signal
import stat

import pytest

from harness import configs, proc
from harness.output import backups, content, undisturbed
from harness.record import Record
from test_output import COLOURS, shell


# --- the master itself

@pytest.mark.key("runtime_directory")
def test_runtime_directory(master, directory):
    """It is made, for its owner alone or to be passed through, and what the master listens at is in it."""
    one = master({**configs.recorders(directory / "record", workers=1), "runtime_directory": str(directory / "own")}, ready=False)
    one.runtime, one.socket = directory / "own", directory / "own" / "control.sock"
    one.wait_ready()
    assert stat.S_IMODE(one.runtime.stat().st_mode) in (0o700, 0o711)
    assert proc.unix_listeners(one.socket)


LEVELS = ["error", "warning", "info", "debug"]


@pytest.mark.key("log.level")
@pytest.mark.parametrize("level", LEVELS)
def test_log_level(master, directory, level):
    """What is below it is not there; an error, a warning, a note and details happen in each."""
    log = directory / "log"
    config = {**configs.recorders(directory / "record", workers=1), "log": {"level": level, "file": str(log)}}
    one = master(config)
    (pid,) = one.pids()
    os.kill(pid, signal.SIGKILL)
    one.wait(lambda status: one.pids(status=status) not in ([], [pid]), "it was replaced")
    one.write({**config, "programs": {}, "sockets": "none"})
    one.expect_reload("refused")
    said = {line.split()[1] for line in log.read_text().splitlines()}
    assert said == set(LEVELS[:LEVELS.index(level) + 1])


# --- words and signals

@pytest.mark.key("programs.NAME.drain_message", "programs.NAME.stop_signal")
def test_words_of_its_own(master, directory):
    """As pm2's apps expect them."""
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, workers=1, drain_message="shutdown", stop_signal="INT", disconnect_timeout="2s"))
    record.wait(event="start")
    one.hup()
    one.wait_drained()
    assert record.words(generation=1) == ["start", "message shutdown", "signal SIGINT", "exit"]


# --- the steps of a reload

def gated(directory, **program):
    """Workers of which those of the second generation are never ready: nobody opens their gate."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, f"--gate={directory}/gate", "--silent", workers=4, start_timeout="1h", **program)
    for slot in range(4):
        os.mkfifo(directory / f"gate.2.{slot}")
    return record, config


@pytest.mark.key("programs.NAME.reload.max_surge")
def test_max_surge(master, directory):
    """So many are started beside the old ones, and while they are not ready no more, and nobody is told to leave."""
    record, config = gated(directory, stop_timeout="200ms", reload={"order": "ready-first", "canary": False, "max_surge": 3, "max_unavailable": 0})
    one = master(config)
    one.kill(signal.SIGHUP)
    record.wait(count=3, event="start", generation=2)
    assert len(proc.children(one.pid)) == 7
    assert not record.entries(event="message")
    one.stop(signal.SIGQUIT)


@pytest.mark.key("programs.NAME.reload.max_unavailable")
def test_max_unavailable(master, directory):
    """So many are told to leave at once; where they do not, no more."""
    record, config = gated(directory, disconnect_timeout="1h", reload={"canary": False, "max_unavailable": 3})
    one = master(config)
    record.wait(count=4, event="start")
    one.kill(signal.SIGHUP)
    told = record.wait(count=3, event="message")
    assert len(told) == 3 and len({entry["slot"] for entry in told}) == 3
    one.stop(signal.SIGQUIT)


@pytest.mark.key("programs.NAME.reload.probation")
def test_probation(master, directory):
    """A canary that was ready and dies before its probation is over has failed; nobody was told to leave."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, "--ready", workers=2)
    config["programs"]["rec"]["reload"] = {"canary": True, "probation": "1h"}
    one = master(config)
    before = one.pids()
    with one.connect() as waiting:
        waiting.send("Reload")
        (canary,) = record.wait(event="sent", generation=2)
        one.wait(lambda status: {"pid": canary["pid"], "state": "READY"}.items() <= one.workers(status=status)[-1].items()
                 or canary["pid"] in one.pids(), "the canary is known to be ready")
        os.kill(canary["pid"], signal.SIGKILL)
        assert waiting.receive()["parameters"]["result"] == "rolled_back"
    assert one.pids() == before
    assert not record.entries(event="message")


# --- standard error

@pytest.mark.key("programs.NAME.stderr.path", "programs.NAME.stderr.max_size", "programs.NAME.stderr.backups",
                 "programs.NAME.stderr.compress", "programs.NAME.stderr.strip_ansi")
def test_stderr(master, directory):
    """It has the same keys as standard output, and a file and counts of its own."""
    path = directory / "err"
    script = f"exec 1>&2; seq 3000; {COLOURS}; echo last"
    master(shell(script, stdout="null", stderr={"path": str(path), "max_size": "4K", "backups": 2, "compress": True, "strip_ansi": True}))
    proc.wait_until(lambda: (undisturbed(path.read_text) or "").endswith("\nlast\n"), "all is there")
    proc.wait_until(lambda: undisturbed(lambda: [file.name for file in backups(path)]) == ["err.2.gz", "err.1.gz", "err"], "two compressed backups")
    lines = b"".join(content(file) for file in backups(path)).decode().splitlines()
    assert lines[-2:] == ["red plain x", "last"]
    assert lines[:-2] == [str(number) for number in range(3001 - len(lines[:-2]), 3001)]
