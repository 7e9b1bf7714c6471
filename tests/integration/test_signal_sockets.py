"""reloaderctl signal and sockets; truth is what workers record, and /proc."""
import json
import os
import signal

import pytest
from harness import VarlinkError, configs, proc
from harness.record import Record


@pytest.fixture
def record(directory):
    return Record(directory / "record")


@pytest.fixture
def rec(master, record):
    return master(configs.recorders(record.path, "--ready", "--ignore=all", workers=2, stop_signal="KILL"))


def signalled(record, what):
    return sorted(entry["slot"] for entry in record.entries(event="signal", what=what))


def test_to_all_of_a_program(rec, record):
    lines = rec.ctl("signal", "USR1", "rec", code=0).stdout.splitlines()
    assert lines == [f"rec/{slot}: SIGUSR1 sent to pid {pid}" for slot, pid in enumerate(rec.pids("rec"))]
    record.wait(2, event="signal", what="SIGUSR1")
    assert signalled(record, "SIGUSR1") == [0, 1]
    rec.wait_line(rf"rec/0: SIGUSR1, asked for by pid \d+, uid {os.getuid()}")


@pytest.mark.parametrize("name", ["rec:1", "rec/1"])
@pytest.mark.parametrize("word", ["sigusr2", str(int(signal.SIGUSR2)), f"-{int(signal.SIGUSR2)}"])
def test_to_one(rec, record, name, word):
    rec.ctl("signal", word, name, code=0)
    rec.ctl("signal", "USR1", "rec:0", code=0)
    record.wait(event="signal", what="SIGUSR2")
    record.wait(event="signal", what="SIGUSR1")
    assert signalled(record, "SIGUSR2") == [1] and signalled(record, "SIGUSR1") == [0]


def test_to_those_that_drain(master, record):
    """They still write to a log that somebody wants reopened."""
    one = master(configs.recorders(record.path, "--silent", "--ready", "--ignore=SIGUSR1", workers=1, disconnect_timeout="10m",
                                  reload={"probation": "0s", "order": "ready-first"}))
    old = one.pids("rec")
    one.expect_reload("committed")
    record.wait(event="message", what="graceful_shutdown")
    reply = json.loads(one.ctl("signal", "USR1", "all", "--json", code=0).stdout)
    pids = [result["pid"] for result in reply["results"]]
    assert len(pids) == 2 and set(old) < set(pids) and all(result["result"] == "sent" for result in reply["results"])
    record.wait(2, event="signal", what="SIGUSR1")
    assert {entry["pid"] for entry in record.entries(event="signal", what="SIGUSR1")} == set(pids)
    one.ctl("signal", "KILL", "rec", code=0)
    one.wait_drained()
    one.stop(signal.SIGQUIT)  # the one that came back is as patient as they were, if it is ready by now


def test_to_the_group(master):
    """A child of the worker gets it only so."""
    script = "sh -c 'trap \"echo child >&2\" USR1; echo is there >&2; while :; do sleep 0.05; done' & trap 'echo leader >&2' USR1; " \
             "while :; do sleep 0.05; done"
    one = master({"programs": {"w": {"command": ["sh", "-c", script], "start_seconds": "50ms", "stop_signal": "KILL", "disconnect_timeout": "100ms"}}})
    one.wait_line("is there")
    proc.wait_until(lambda: proc.catches(one.pids()[0], signal.SIGUSR1), "the leader has set its trap as well")
    one.ctl("signal", "USR1", "w", code=0)
    one.wait_line("^leader")
    assert not [line for line in one.log.read() if line.startswith("child")]
    one.ctl("signal", "USR1", "w", "--group", code=0)
    one.wait_line("^child")


def test_an_end_is_healed(rec, record):
    before = rec.pids("rec")
    rec.ctl("signal", "KILL", "rec:0", code=0)
    rec.wait(lambda status: all(pid != before[0] for pid in rec.pids("rec", status)) and len(rec.pids("rec", status)) == 2, "another one")
    assert rec.pids("rec")[1] == before[1]


@pytest.mark.parametrize("name, error", [("nobody", "NoSuchProgram"), ("rec:7", "NoSuchWorker")])
def test_names_that_are_not_there(rec, record, name, error):
    with pytest.raises(VarlinkError) as caught:
        rec.call("Signal", {"programs": ["rec", name], "signal": "USR1"})
    assert caught.value.name == error
    out = rec.ctl("signal", "USR1", "rec", name, code=1)
    assert name in out.stderr and "reloaderctl status" in out.stderr
    rec.ctl("signal", "USR2", "rec", code=0)
    record.wait(2, event="signal", what="SIGUSR2")
    assert signalled(record, "SIGUSR1") == [], "all or nobody"


def test_what_is_stopped(rec):
    rec.ctl("stop", "rec:0", code=0)
    out = rec.ctl("signal", "USR1", "rec:0", code=1)
    assert "rec:0: not running" in out.stderr
    out = rec.ctl("signal", "USR1", "rec", code=0)
    assert out.stdout.startswith("rec/1: ")


@pytest.mark.parametrize("parameters", [{"signal": "NONSENSE"}, {"signal": "0"}, {"signal": 15}, {}])
def test_no_signal(rec, parameters):
    with pytest.raises(VarlinkError) as caught:
        rec.call("Signal", {"programs": ["rec"], **parameters})
    assert caught.value.error == "org.varlink.service.InvalidParameter"


def test_sockets(master, port, directory):
    config = configs.echo(f"127.0.0.1:{port}", workers=3)
    config["sockets"]["own"] = {"listen": f"unix:{directory}/own.%(process_num)s"}
    config["programs"]["other"] = {**config["programs"]["echo"], "workers": 2, "sockets": ["own"], "autostart": True}
    config["programs"]["idle"] = {**config["programs"]["echo"], "autostart": False}
    one = master(config)
    sockets = {(entry["name"], entry.get("slot")): entry for entry in one.call("Sockets")["sockets"]}
    assert set(sockets) == {("echo", None), ("own", 0), ("own", 1)}
    shared = sockets["echo", None]
    assert shared["inode"] == proc.tcp_listeners(port)[0] and shared["queue"] == 0 and shared["backlog"] > 0
    assert sorted(shared["programs"]) == ["echo", "idle"]
    assert [worker["pid"] for worker in shared["workers"]] == one.pids("echo")
    for worker in shared["workers"]:
        assert f"socket:[{shared['inode']}]" in proc.fds(worker["pid"]).values()
    for slot, pid in enumerate(one.pids("other")):
        assert [worker["pid"] for worker in sockets["own", slot]["workers"]] == [pid]
        assert f"socket:[{sockets['own', slot]['inode']}]" in proc.fds(pid).values()
    lines = one.ctl("sockets", code=0).stdout.splitlines()
    assert lines[0].split() == ["LISTENER", "ADDRESS", "INODE", "QUEUE", "BACKLOG", "DROPS", "USED", "BY"]
    row = next(line.split() for line in lines if line.startswith("echo"))
    assert row[1:3] == [f"127.0.0.1:{port}", str(shared["inode"])] and row[-2:] == ["echo:0-2", "(idle)"]


def test_sockets_of_who_still_drains(master, port, record):
    """A socket that the configuration does not name any more is open as long as somebody has it."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["programs"]["echo"].update(command=configs.recorder(record.path, "--silent", "--ready"), ready="message", disconnect_timeout="10m",
                                      reload={"probation": "0s", "order": "ready-first"})
    one = master(config)
    (old,) = one.pids("echo")
    inode = one.call("Sockets")["sockets"][0]["inode"]
    one.programs["echo"]["sockets"] = []
    one.config["sockets"] = {}
    one.write()
    one.expect_reload("committed")
    record.wait(event="message", what="graceful_shutdown")
    (entry,) = one.call("Sockets")["sockets"]
    assert entry["inode"] == inode and entry["programs"] == [] and [worker["pid"] for worker in entry["workers"]] == [old]
    os.kill(old, signal.SIGKILL)
    one.wait_drained()
    one.wait(lambda status: one.call("Sockets")["sockets"] == [], "it is closed")
    one.call("Shutdown", {"force": True})
    one.wait_end(0)
