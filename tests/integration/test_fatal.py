"""A program that was FATAL before a reload: it is tried again, and the others do not have to wait until it is mended."""
import json
import os
import re

import pytest

from harness import BINARIES, Load, configs, proc

AS_BEFORE = "FATAL as before: bad/0 exited with 9 before it was ready"


@pytest.fixture
def mark(directory):
    """As long as this file is there, programs made by bad() do not start."""
    path = directory / "mark"
    path.touch()
    return path


def bad(mark, **options):
    return {**configs.healthy_without(mark), "start_retries": 0, "reload": {"canary": True}, **options}


def beside(port, broken, **options):
    config = configs.echo(f"127.0.0.1:{port}", workers=2, **options)
    config["programs"]["bad"] = broken
    return config


def state_of(one, program="bad", status=None):
    return next(entry["state"] for entry in (status or one.status())["programs"] if entry["name"] == program)


def started(master, config):
    one = master(config, ready=False)
    one.wait(lambda status: state_of(one, status=status) == "FATAL" and len(one.pids("echo")) == 2, "one is FATAL, the other ready")
    return one


def record_of(one, number=-1):
    record = one.call("History")["reloads"][number]
    return record, {entry["name"]: entry for entry in record["programs"]}


def slot_states(one, status=None):
    return [slot["state"] for slot in one.slots("bad", status)]


def expect_states(one, *states):
    """Who has failed may still be seen on its way out."""
    one.wait(lambda status: slot_states(one, status) == list(states), f"{states}")


ALL_AT_ONCE = {"reload": {"canary": False}}
SHAPES = {"alone": {}, "three": {"workers": 3}, "without a canary": ALL_AT_ONCE, "three without a canary": {"workers": 3, **ALL_AT_ONCE},
          "ready-first": {"workers": 2, "reload": {"order": "ready-first"}}, "retries": {"start_retries": 2, "backoff": {"initial": "10ms", "max": "10ms"}},
          "cannot be executed": {"command": ["/nonexistent/server"]}}


def test_given_up_beside_others_that_are_stopped(master, port, mark):
    """Nobody is about to start there."""
    one = started(master, beside(port, bad(mark, workers=3)))
    one.ctl("stop", "bad", code=0)
    assert state_of(one) == "STOPPED"
    done = one.ctl("start", "bad:1")
    assert (done.returncode, done.stdout) == (1, "bad:1: failed: bad/1 exited with 9 before it was ready\n")
    expect_states(one, "STOPPED", "FATAL", "STOPPED")
    assert state_of(one) == "FATAL"
    assert one.ctl("status", "bad", code=4).stdout.startswith("bad  FATAL  generation 1  0 of 3 ready\n")


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_others_commit(master, directory, port, mark, options):
    """It is tried once more, stays FATAL, and is told so; nobody notices anything of it."""
    one = started(master, beside(port, bad(mark, **options)))
    states = slot_states(one)
    with Load(directory, f"127.0.0.1:{port}", 200, 10):
        one.programs["echo"]["environment"] = {"DEPLOYED": "1"}
        one.write()
        one.ctl("reload", code=0)
    assert set(states) == {"FATAL"}
    expect_states(one, *states)
    assert one.generation("echo") == 2
    record, programs = record_of(one)
    assert record["result"] == "committed" and re.match(r"bad is FATAL as before: bad/\d", record["reason"])
    assert programs["bad"]["result"] == "committed" and "bad is " + programs["bad"]["reason"] == record["reason"]
    assert "reason" not in programs["echo"]
    assert re.match(r"bad is FATAL as before: bad/\d", one.expect_reload("committed")["reason"]), "and so it goes on"
    assert one.ctl("status").returncode == 4


def test_how_it_is_told(master, port, mark, directory):
    told = directory / "told"
    on_event = {"types": ["fatal"], "command": ["sh", "-c", f"cat >> {told}; echo >> {told}"]}
    one = started(master, beside(port, bad(mark, on_event=on_event)))
    with one.connect() as listener:
        listener.send("Subscribe", {"types": ["reload", "rollout"]}, more=True)
        listener.receive()
        done = one.ctl("reload", code=0)
        events = []
        while not events or events[-1].get("state") != "ended":
            events.append(listener.receive()["parameters"]["event"])
    assert events[-1]["result"] == "committed" and events[-1]["reason"] == f"bad is {AS_BEFORE}"
    assert [event["step"] for event in events if event.get("program") == "bad"][-1] == "fatal"
    assert "rollout bad: fatal, 0 of 1 ready" in done.stdout
    assert f": bad is {AS_BEFORE}\n" in done.stdout
    assert f"bad is {AS_BEFORE}" in one.ctl("history", code=0).stdout
    assert f"bad: committed, generation 2, 1 worker: {AS_BEFORE}" in one.ctl("history", "1", code=0).stdout
    lines = one.log.text()
    assert "bad: slot 0 is FATAL as before: exited with 9 before it was ready. The reload goes on without it; " \
        "`reloaderctl start bad:0` tries again" in lines
    assert f"bad: reload 1 committed, generation 2, {AS_BEFORE}" in lines
    reply = json.loads(one.ctl("--json", "reload", code=0).stdout)
    assert reply["result"] == "committed" and reply["reason"] == f"bad is {AS_BEFORE}"
    proc.wait_until(told.exists, "it is told")
    one.stop()
    assert told.read_text().count('"FATAL"') == 1, "that it is FATAL was told when it became so"


def test_several_are_told(master, port, mark):
    config = beside(port, bad(mark))
    config["programs"] |= {f"bad-{number}": bad(mark) for number in range(5)}
    one = master(config, ready=False)
    one.wait(lambda status: [entry["state"] for entry in status["programs"]].count("FATAL") == 6, "all but one are FATAL")
    reason = one.expect_reload("committed")["reason"]
    assert re.fullmatch(r"(bad\S* is FATAL as before: bad\S* exited with 9 before it was ready; ){4}and 2 more", reason)


def test_mended(master, port, mark):
    """Its files were what was wrong."""
    one = started(master, beside(port, bad(mark, workers=2)))
    one.expect_reload("committed")
    mark.unlink()
    reply = one.expect_reload("committed")
    assert "reason" not in reply
    assert slot_states(one) == ["READY", "READY"] and one.generation("bad") == 3


def test_started_by_its_operator_after_a_reload(master, port, mark):
    one = started(master, beside(port, bad(mark)))
    one.expect_reload("committed")
    assert one.ctl("start", "bad").returncode == 1
    mark.unlink()
    one.ctl("start", "bad", code=0)
    assert slot_states(one) == ["READY"] and one.generation("bad") == 2


@pytest.mark.parametrize("change", [{"environment": {"A": "1"}}, {"workers": 2}, {"command": ["sh", "-c", "exit 8"]}], ids=str)
def test_what_was_changed_has_to_work(master, port, mark, change):
    one = started(master, beside(port, bad(mark)))
    before = one.pids("echo")
    one.programs["bad"].update(change)
    one.write()
    done = one.ctl("reload", code=1)
    assert "rolled back" in done.stdout and "bad/0 exited with" in done.stdout
    assert one.pids("echo") == before
    expect_states(one, "FATAL")
    assert one.expect_reload("rolled_back")["reason"].startswith("bad/0 exited with")


def test_a_changed_environment_file_has_to_work(master, port, mark, directory):
    path = directory / "settings"
    path.write_text("A=1\n")
    one = started(master, beside(port, bad(mark, environment_file=str(path))))
    one.expect_reload("committed")
    path.write_text("A=2\n")
    one.expect_reload("rolled_back")
    expect_states(one, "FATAL")


@pytest.mark.parametrize("names", [["bad"], ["echo", "bad"]], ids=" ".join)
def test_asked_for_by_name(master, port, mark, names):
    """Who asks for this one is told that it failed."""
    one = started(master, beside(port, bad(mark)))
    before = one.pids("echo")
    done = one.ctl("reload", *names, code=1)
    assert "bad/0 exited with 9 before it was ready" in done.stdout
    assert one.pids("echo") == before
    expect_states(one, "FATAL")
    assert record_of(one)[0]["result"] == "rolled_back"
    assert one.ctl("restart", "bad").returncode == 1


def test_others_asked_for_by_name(master, port, mark):
    one = started(master, beside(port, bad(mark)))
    mark.unlink()
    one.ctl("reload", "echo", code=0)
    expect_states(one, "FATAL")
    assert record_of(one)[1]["bad"]["result"] == "untouched"


def test_update_and_undo(master, port, mark, directory):
    """A program file that is another one by now is tried, and what is undone as well."""
    script = directory / "server"
    script.write_text("#!/bin/sh\nexit 9\n")
    script.chmod(0o755)
    one = started(master, beside(port, bad(mark, command=[str(script)])))
    one.ctl("update", code=0)
    assert record_of(one)[1]["bad"]["result"] == "untouched"
    script.with_name("draft").write_text("#!/bin/sh\nexit 9\n#\n")
    script.with_name("draft").chmod(0o755)
    os.replace(script.with_name("draft"), script)
    one.programs["echo"]["environment"] = {"DEPLOYED": "1"}
    one.write()
    one.ctl("update", code=0)
    record, programs = record_of(one)
    assert record["reason"] == f"bad is {AS_BEFORE}" and programs["bad"]["generation"] == 2
    one.ctl("undo", code=0)
    assert record_of(one)[0]["reason"] == f"bad is {AS_BEFORE}"
    expect_states(one, "FATAL")


def test_another_one_fails(master, port, mark):
    """That is the reason, and this one is as it was: neither degraded nor tried again on the way back."""
    one = started(master, beside(port, bad(mark, workers=2)))
    before = one.pids("echo")
    one.programs["echo"]["command"] = ["sh", "-c", "exit 3"]
    one.write()
    reply = one.expect_reload("rolled_back")
    assert reply["reason"] == "echo/0 exited with 3 before it was ready"
    expect_states(one, "FATAL", "FATAL")
    assert one.pids("echo") == before
    one.programs["echo"]["command"] = [BINARIES.tcp_echo]
    one.write()
    one.expect_reload("committed")


def test_another_one_fails_later(master, port, mark):
    """When this one has failed already, and again when it has come up."""
    one = started(master, beside(port, bad(mark), start_timeout="20s"))
    one.programs["echo"]["command"] = ["sh", "-c", f'[ "$RELOADER_SLOT" = 0 ] || exit 3; exec {BINARIES.tcp_echo}']
    one.write()
    assert one.expect_reload("rolled_back")["reason"] == "echo/1 exited with 3 before it was ready"
    assert one.log.find("bad: slot 0 is FATAL as before")
    expect_states(one, "FATAL")
    mark.unlink()
    one.expect_reload("rolled_back")
    one.wait(lambda _: slot_states(one) == ["READY"] and one.generation("bad") == 1, "it could be started in its old generation, too")


def test_who_serves_meanwhile_is_not_replaced(master, port, mark):
    """Its operator has started it while the reload was busy with another one: what fails then is news, and whoever serves stays."""
    broken = bad(mark, priority=5, reload={"canary": False, "order": "ready-first"})
    closed = mark.with_name("closed")
    command = ["sh", "-c", f"while [ -e {closed} ]; do sleep 0.02; done; exec {BINARIES.tcp_echo}"]
    config = beside(port, broken, command=command, ready="message", start_timeout="60s")
    config["programs"]["echo"]["reload"] = {"canary": True, "probation": "50ms"}
    one = started(master, config)
    closed.touch()
    with one.connect() as waiting:
        waiting.send("Reload", {"wait": True})
        one.wait_line(r"echo/0: up, pid \d+, generation 2")
        mark.unlink()
        one.ctl("start", "bad", code=0)
        (pid,) = one.pids("bad")
        mark.touch()
        closed.unlink()
        assert waiting.receive()["parameters"]["result"] == "rolled_back"
    expect_states(one, "READY")
    assert one.pids("bad") == [pid]


def partly(mark, **options):
    """Slot 1 of three does not start."""
    script = f'[ "$RELOADER_SLOT" = 1 ] && [ -e "{mark}" ] && exit 9; [ -e "{mark}.all" ] && exit 8; ' \
        'echo \'"ready"\' >&$RELOADER_CHANNEL_FD; exec sleep 1000'
    return {"command": ["sh", "-c", script], "ready": "message", "workers": 3, "start_retries": 0, **options}


@pytest.mark.parametrize("canary", [True, False])
def test_one_slot(master, port, mark, canary):
    """It is tried, and the version is proven by another slot."""
    one = master(beside(port, partly(mark, reload={"canary": canary})), ready=False)
    expect_states(one, "READY", "FATAL", "READY")
    reply = one.expect_reload("committed")
    assert reply["reason"] == "bad: 1 of 3 slots FATAL as before: bad/1 exited with 9 before it was ready"
    expect_states(one, "READY", "FATAL", "READY")
    assert {worker["generation"] for worker in one.workers("bad") if worker["state"] == "READY"} == {2}
    mark.unlink()
    assert "reason" not in one.expect_reload("committed")
    assert slot_states(one) == ["READY"] * 3


def test_restart_of_several(master, port, mark):
    """The others were restarted. This one was not, not all of it: that is told by its name, and is no success."""
    one = master(beside(port, partly(mark)), ready=False)
    expect_states(one, "READY", "FATAL", "READY")
    one.wait(lambda status: len(one.pids("echo", status)) == 2, "the other is ready")
    why = "1 of 3 slots FATAL as before: bad/1 exited with 9 before it was ready"
    for _ in range(2):
        before = one.pids()
        done = one.ctl("restart", "echo", "bad")
        assert (done.returncode, sorted(done.stdout.splitlines())) == (1, [f"bad: failed: {why}", "echo: restarted"])
        expect_states(one, "READY", "FATAL", "READY")
        assert len(before) == 4 and not set(before) & set(one.pids())
    told = one.call("Restart", {"programs": ["all"]})["results"]
    assert sorted(told, key=lambda target: target["program"]) == [
        {"program": "bad", "result": "failed", "reason": why}, {"program": "echo", "result": "restarted"}]
    mark.unlink()
    assert sorted(one.ctl("restart", "all", code=0).stdout.splitlines()) == ["bad: restarted", "echo: restarted"]
    assert slot_states(one) == ["READY"] * 3


def test_one_slot_proves_nothing(master, port, mark):
    """The version fails everywhere: that is not as before."""
    one = master(beside(port, partly(mark, reload={"canary": True})), ready=False)
    expect_states(one, "READY", "FATAL", "READY")
    before = one.pids()
    mark.with_name("mark.all").touch()
    assert one.expect_reload("rolled_back")["reason"] == "bad/0 exited with 8 before it was ready"
    assert one.pids() == before
    expect_states(one, "READY", "FATAL", "READY")


@pytest.mark.parametrize("order", ["drain-first", "ready-first"])
def test_one_slot_is_fatal_again_on_the_way_back(master, port, mark, order):
    """It had come up, another program fails, and it does not come up any more: all that served before serves again."""
    gate = mark.with_name("mark.gate")
    os.mkfifo(gate)
    one = master(beside(port, partly(mark, priority=1, reload={"canary": True, "order": order}), priority=5, start_timeout="1h"), ready=False)
    expect_states(one, "READY", "FATAL", "READY")
    one.wait(lambda status: len(one.pids("echo", status)) == 2, "the other is ready")
    mark.unlink()
    one.programs["echo"] |= {"command": ["sh", "-c", f'[ "$RELOADER_SLOT" = 0 ] || read -r line < {gate}; exec {BINARIES.tcp_echo} $line'],
                             "reload": {"canary": True, "probation": "0s"}}
    one.write()
    with one.connect() as caller:
        caller.send("Reload")
        one.wait_line("echo/1: up", times=2)
        expect_states(one, "READY", "READY", "READY")
        mark.touch()
        gate.write_text("--no-such-option\n")
        reply = caller.receive()["parameters"]
    assert reply["result"] == "rolled_back" and reply["reason"].startswith("echo/1 exited with")
    expect_states(one, "READY", "FATAL", "READY")
    assert {worker["generation"] for worker in one.workers() if worker["pid"] in one.pids()} == {1}
    assert one.log.find("bad: slot 1 is FATAL as before: exited with 9 before it was ready. The way back goes on without it")
    programs = record_of(one)[1]
    assert (programs["bad"]["result"], programs["bad"].get("reason")) == ("rolled_back", None)


def test_dies_on_probation(master, port, mark):
    """A canary that had started is no better."""
    script = f'[ -e "{mark}" ] && exit 9; echo \'"ready"\' >&$RELOADER_CHANNEL_FD; read -r line < {mark}.gate; exit 7'
    os.mkfifo(mark.with_name("mark.gate"))
    one = started(master, beside(port, {"command": ["sh", "-c", script], "ready": "message", "start_retries": 0, "start_seconds": "0s",
                                        "reload": {"canary": True, "probation": "1h"}}))
    mark.unlink()
    with one.connect() as caller:
        caller.send("Reload")
        one.wait_line("bad/0: on probation")
        mark.touch()
        mark.with_name("mark.gate").write_text("go\n")
        reply = caller.receive()["parameters"]
    assert (reply["result"], reply["reason"]) == ("committed", "bad is FATAL as before: bad/0 exited with 7 in its probation")
    expect_states(one, "FATAL")


def test_superseded(master, port, mark):
    """A newer reload finds it as FATAL as the older one did, whatever that had come to."""
    script = f'[ -e "{mark}" ] && exit 9; : > {mark}.came; read -r line < {mark}.gate; exit 9'
    os.mkfifo(mark.with_name("mark.gate"))
    one = started(master, beside(port, {"command": ["sh", "-c", script], "ready": "message", "start_retries": 0, "start_timeout": "1h",
                                        "workers": 2, "reload": {"canary": True}}))
    mark.unlink()
    with one.connect() as first:
        first.send("Reload")
        proc.wait_until(mark.with_name("mark.came").exists, "it is about to start")
        mark.touch()
        assert one.expect_reload("committed")["reason"] == f"bad is {AS_BEFORE}"
        assert first.receive()["parameters"]["result"] == "superseded"
    expect_states(one, "FATAL", "FATAL")
