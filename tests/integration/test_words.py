"""The trace of the words: what a worker that never speaks first is told, and in which order."""
import signal

import pytest

from harness import configs, isolation, proc
from harness.record import Record


def roll(one, record, workers, times=1):
    """Reloads so many times; each generation has begun to listen before it is told (it is ready by time alone)."""
    for _ in range(times):
        record.wait(count=workers, event="start", generation=one.generation())
        one.hup()
    record.wait(count=workers, event="start", generation=one.generation())
    one.wait_drained()


@pytest.mark.key("programs.NAME.reload.order")
@pytest.mark.sanitized
@pytest.mark.parametrize("order", ["drain-first", "ready-first"])
def test_told_then_closed_then_stopped(master, directory, order):
    """graceful_shutdown, fully_closed, the stop signal, exit, and (drain-first) only then the successor's start."""
    record = Record(directory / "record")
    # With ready-first it must say when it is ready, or the order of what is recorded would be a matter of chance.
    ready_first = order == "ready-first"
    config = configs.recorders(record.path, "--linger=0.3", *["--ready"] * ready_first, workers=3)
    config["programs"]["rec"]["reload"].update(canary=False, order=order, max_unavailable="100%")
    one = master(config)
    roll(one, record, 3, times=5 if order == "drain-first" else 2)
    for slot in range(3):
        words = record.words(slot=slot)
        life = ["start", "message graceful_shutdown", "sent fully_closed", "signal SIGTERM", "exit"]
        if order == "drain-first":
            assert words == life * 5 + ["start"], words
        else:
            assert words[:4] == ["start", "sent ready"] * 2, words
            for pid in {entry["pid"] for entry in record.entries(slot=slot)}:
                assert record.words(pid=pid) in (["start", "sent ready", *life[1:]], ["start", "sent ready"])


@pytest.mark.key("programs.NAME.reload.canary")
def test_one_after_the_other(master, directory):
    """With max_unavailable 1 and a canary: nobody is told before it is there, and two of three always serve."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, "--ready", workers=3)
    config["programs"]["rec"]["reload"] = {"canary": True, "max_unavailable": 1}
    one = master(config)
    roll(one, record, 3)
    story = [(entry["event"], entry["generation"]) for entry in record.entries()
             if entry["event"] in ("start", "message")]
    assert story[:3] == [("start", 1)] * 3
    assert story[3] == ("start", 2), "the canary comes before anybody is told"
    rest = story[4:]
    assert sorted(rest) == sorted([("message", 1)] * 3 + [("start", 2)] * 2), story
    # Of three, never more than one is missing; the canary is a fourth.
    there = 4
    for event, _ in rest:
        there += -1 if event == "message" else 1
        assert there >= 2, story


def test_leaving_without_a_word_is_as_good(master, directory):
    record = Record(directory / "record")
    config = configs.recorders(record.path, "--leave", workers=1)
    config["programs"]["rec"]["disconnect_timeout"] = "50s"
    one = master(config)
    roll(one, record, workers=1)
    assert record.words(generation=1, slot=0) == ["start", "message graceful_shutdown", "exit"]


def test_no_signal_for_who_reads(master, directory):
    """drain: auto sends no drain_signal to a worker that has read its message, however long it takes to close."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, "--silent", workers=1)
    config["programs"]["rec"].update(drain_grace="3s", drain_signal="QUIT", disconnect_timeout="4500ms")
    one = master(config)
    roll(one, record, workers=1)
    assert record.words(generation=1) == ["start", "message graceful_shutdown", "signal SIGTERM", "exit"]
    one.stop(signal.SIGQUIT)


@pytest.mark.key("programs.NAME.drain_grace")
def test_deaf_worker_gets_drain_signal(master, directory):
    """One that never reads its channel: drain_signal after drain_grace; its successors at once."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, "--deaf", workers=1)
    config["programs"]["rec"].update(drain_grace="200ms", drain_signal="QUIT", disconnect_timeout="40s")
    one = master(config)
    roll(one, record, workers=1)
    assert record.words(generation=1) == ["start", "signal SIGQUIT", "exit"]
    # Known to be deaf: had it to wait for this grace, TERM would come before.
    one.programs["rec"].update(drain_grace="50s", disconnect_timeout="45s")
    one.write()
    roll(one, record, 1, times=2)
    for generation in (2, 3):
        assert record.words(generation=generation) == ["start", "signal SIGQUIT", "exit"]
    # Forgotten when the command changes: the new one is asked politely first.
    one.programs["rec"].update(command=configs.recorder(record.path, "--deaf", "--linger=0"),
                               drain_grace="40s", disconnect_timeout="1s")
    one.write()
    roll(one, record, 1, times=2)
    assert record.words(generation=5) == ["start", "signal SIGTERM", "exit"]


@pytest.mark.key("programs.NAME.drain", "programs.NAME.drain_signal")
def test_drain_by_signal_only(master, directory):
    record = Record(directory / "record")
    config = configs.recorders(record.path, workers=1)
    config["programs"]["rec"].update(drain="signal", drain_signal="USR1")
    one = master(config)
    roll(one, record, workers=1)
    assert record.words(generation=1) == ["start", "signal SIGUSR1", "exit"]


def test_drain_by_message_only(master, directory):
    """A deaf worker with drain: message gets nothing but its stop signal at disconnect_timeout."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, "--deaf", workers=1)
    config["programs"]["rec"].update(drain="message", drain_grace="10ms", drain_signal="USR1", disconnect_timeout="500ms")
    one = master(config)
    roll(one, record, workers=1)
    assert record.words(generation=1) == ["start", "signal SIGTERM", "exit"]


def test_stop_timeout_then_kill(master, directory):
    """A worker and its child that ignore TERM are gone after stop_timeout, by KILL to the group."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, "--ignore=SIGTERM", "--child", workers=1)
    config["programs"]["rec"].update(stop_timeout="4s")  # it writes down the signal before
    one = master(config)
    (entry,) = record.wait(event="start")
    (child,) = proc.children(entry["pid"])
    roll(one, record, workers=1)
    assert record.words(generation=1) == ["start", "message graceful_shutdown", "sent fully_closed", "signal SIGTERM"]
    assert not proc.is_running(entry["pid"]) and not proc.is_running(child)


@pytest.mark.key("programs.NAME.kill_mode")
@pytest.mark.parametrize("kill_mode", ["mixed", "process", "group"])
def test_kill_mode(master, directory, kill_mode):
    """Who of a process group hears the stop signal: the leader, and the rest when it has left; the leader alone; all."""
    record = Record(directory / "record")
    worker = " ".join(configs.recorder(record.path, "--silent", "--linger=2"))
    # The leader records; its child in the same group is a second recorder.
    program = {"command": ["sh", "-c", f"{worker} & exec {worker}"], "kill_mode": kill_mode, "drain": "signal", "disconnect_timeout": "4s"}
    one = master(configs.recorders(record.path, workers=1, **program))
    (leader,) = one.pids()
    record.wait(count=2, event="start")
    (child,) = proc.children(leader)
    one.hup()
    one.wait_drained()
    heard = [(entry["pid"], entry["event"]) for entry in record.entries(generation=1) if entry["event"] in ("signal", "exit")]
    assert heard[0] == (leader, "signal") or kill_mode == "group"
    if kill_mode == "process":
        assert proc.is_running(child) and (child, "signal") not in heard
    else:
        assert not proc.is_running(child)
        assert (heard.index((child, "signal")) < heard.index((leader, "exit"))) == (kill_mode == "group"), heard
    one.stop(signal.SIGQUIT, complete=kill_mode != "process")
    isolation.kill_children()


def test_end_of_file_when_the_master_is_gone(master, directory):
    """SIGKILL of the master: workers see end-of-file on their channel and leave."""
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, workers=2))
    pids = one.pids()
    one.kill(signal.SIGKILL)
    record.wait(count=2, event="eof")
    record.wait(count=2, event="exit")
    for pid in pids:
        proc.wait_gone(pid)
    one.process.wait(10)
    one.stopped = True
