"""Who is started again after it left by itself, and who is not."""
import os
import signal
import time

import pytest
from harness import configs, proc

SOON = {"initial": "10ms", "max": "50ms", "jitter": 0}


def program(script, **options):
    """One worker, a shell that needs no time to be started."""
    return {"programs": {"job": {"command": ["sh", "-c", script], "start_seconds": "50ms", "backoff": SOON, **options}}}


def slot_state(status):
    """None before there is a slot."""
    return next((slot["state"] for slot in status["programs"][0]["slots"]), None)


def slot_of(status):
    return status["programs"][0]["slots"][0]


def wait_state(one, state):
    return one.wait(lambda status: slot_state(status) == state, f"the slot is {state}")


@pytest.mark.key("programs.NAME.restart", "programs.NAME.expected_exit_codes")
@pytest.mark.parametrize("options, code, again", [
    ({}, 0, True),
    ({"restart": "always"}, 3, True),
    ({"restart": "unexpected"}, 0, False),
    ({"restart": "unexpected"}, 3, True),
    ({"restart": "unexpected", "expected_exit_codes": [0, 3]}, 3, False),
    ({"restart": "unexpected", "expected_exit_codes": []}, 0, True),
    ({"restart": "never"}, 3, False),
], ids=str)
def test_who_had_started(master, directory, options, code, again):
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master(program(f"read line < {gate}; exit {code}", **options))
    (pid,) = one.pids()
    gate.write_text("go\n")
    if again:
        one.wait(lambda _: one.pids() not in ([], [pid]), "another one is there")
    else:
        wait_state(one, "EXITED")
        assert one.status()["programs"][0]["state"] == "EXITED"
        assert one.ctl("status").returncode == 0
        assert not proc.children(one.pid)


@pytest.mark.parametrize("mode, again", [("always", True), ("unexpected", True), ("never", False)])
def test_who_was_killed(master, mode, again):
    one = master(program("exec sleep 1000", restart=mode))
    (pid,) = one.pids()
    os.kill(pid, signal.SIGKILL)
    if again:
        one.wait(lambda _: one.pids() not in ([], [pid]), "another one is there")
    else:
        wait_state(one, "EXITED")


@pytest.mark.key("programs.NAME.start_retries")
@pytest.mark.parametrize("retries, starts", [(0, 1), (1, 2), (3, 4)])
@pytest.mark.parametrize("mode", ["always", "never"])
def test_start_retries(master, directory, retries, starts, mode):
    """Whatever `restart` says: it never had started."""
    count = directory / "count"
    one = master(program(f"echo x >> {count}; exit 5", start_retries=retries, restart=mode, start_seconds="20s"), ready=False)
    one.wait_line(r"job: slot 0 is FATAL: .* \(start_retries is %d\)" % retries)
    wait_state(one, "FATAL")
    assert len(count.read_text().split()) == starts
    assert one.status()["programs"][0]["state"] == "FATAL"
    assert one.ctl("status").returncode == 4


@pytest.mark.parametrize("options, how", [
    ({"command": ["sh", "-c", "exit 5"]}, "exited with 5 before it was ready"),
    ({"command": ["sh", "-c", "kill -SEGV $$"]}, "was killed by SIGSEGV before it was ready"),
    ({"command": ["sh", "-c", "true &"]}, "exited with 0 before it was ready; it has to stay in the foreground"),
    ({"command": ["/nowhere/at-all"]}, "cannot execute '/nowhere/at-all': No such file or directory"),
    ({"command": ["nowhere-at-all"]}, "cannot execute 'nowhere-at-all': No such file or directory (it is in no directory of its PATH)"),
    ({"command": ["sleep", "1000"], "ready": "notify", "start_timeout": "50ms"}, "was not ready within 50 ms (start_timeout)"),
], ids=("exits", "is killed", "goes to the background", "cannot be executed", "is not found", "is never ready"))
def test_status_tells_why_nobody_is_there(master, options, how):
    config = program("", backoff={"initial": "1h", "max": "1h"}, start_seconds="20s", **options)
    one = master(config, ready=False)
    slot = slot_of(one.wait(lambda status: slot_state(status) == "BACKOFF" and not slot_of(status)["workers"], "it waits"))
    assert slot["reason"] == how and slot["retry_usec"] > time.time() * 1e6 and slot["restarts"] == 1
    (line,) = [line for line in one.ctl("status", code=4).stdout.splitlines() if "BACKOFF" in line]
    assert f"{how}; next start in " in line
    one.stop()


@pytest.mark.parametrize("options, how", [
    ({"command": ["sh", "-c", "exit 5"]}, "exited with 5 before it was ready"),
    ({"command": ["/nowhere/at-all"]}, "cannot execute '/nowhere/at-all': No such file or directory"),
], ids=("exits", "cannot be executed"))
def test_status_tells_why_it_was_given_up(master, options, how):
    one = master(program("", start_retries=1, start_seconds="20s", **options), ready=False)
    slot = slot_of(wait_state(one, "FATAL"))
    why = f"2 failed starts in a row (start_retries is 1); the last one: {how}"
    assert slot["reason"] == why and "retry_usec" not in slot
    assert why in one.ctl("status", code=4).stdout
    lines = one.log.text()
    assert f"job: slot 0 is FATAL: {why}. `reloaderctl start job:0` tries again" in lines
    assert lines.count("\n", 0, lines.index("FATAL")) == len(lines.splitlines()) - 1, "what led to it is logged first"


def test_status_tells_how_it_ended(master):
    one = master(program("exit 3", restart="never", start_seconds="0s", expected_exit_codes=[3]), ready=False)
    assert slot_of(wait_state(one, "EXITED"))["reason"] == "exited with 3"


def test_a_start_that_succeeds_ends_the_row(master, directory):
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master(program(f"exec 3<> {gate}; read line <&3; exit 5", start_retries=0))
    for _ in range(3):
        (pid,) = one.pids()
        gate.write_text("go\n")
        one.wait(lambda _, pid=pid: one.pids() not in ([], [pid]), "another one is there")
    assert one.status()["programs"][0]["state"] == "READY"


@pytest.mark.key("programs.NAME.max_restarts.count")
def test_max_restarts_of_the_whole_program(master):
    one = master(program("exec sleep 1000", workers=2, max_restarts={"count": 3, "within": "1h"}))
    for _ in range(3):
        pid = one.pids()[0]
        os.kill(pid, signal.SIGKILL)
        one.wait(lambda status, pid=pid: len(one.pids(status=status)) == 2 and pid not in one.pids(status=status), "another one is there")
    os.kill(one.pids()[1], signal.SIGKILL)
    one.wait_line(r"job: slot 1 is FATAL: more than 3 restarts of the program within 1 h 0 min \(max_restarts\); the last one: was killed by SIGKILL")
    assert len(one.pids()) == 1


def test_clean_exits_do_not_count(master, directory):
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master(program(f"exec 3<> {gate}; read line <&3", max_restarts={"count": 1, "within": "1h"}))
    for _ in range(4):
        (pid,) = one.pids()
        gate.write_text("go\n")
        one.wait(lambda _, pid=pid: one.pids() not in ([], [pid]), "another one is there")


@pytest.mark.key("programs.NAME.exit_on_fatal")
@pytest.mark.parametrize("script, code", [("exit 7", 7), ("kill -TERM $$", 128 + signal.SIGTERM), ("exit 0", 1)])
def test_exit_on_fatal(master, script, code):
    """The others drain first; whoever started the master learns how it ended."""
    config = program(script, start_retries=1, exit_on_fatal=True, start_seconds="20s")
    config["programs"]["other"] = {"command": ["sleep", "1000"], "start_seconds": "10ms"}
    one = master(config, ready=False)
    one.wait_end(code)
    assert f"reloader: down, exit status {code}" in one.log.text()


@pytest.mark.parametrize("options", [{"start_retries": 0}, {"max_restarts": {"count": 1, "within": "1h"}, "start_retries": 0}], ids=str)
def test_a_reload_that_fails_ends_nobody(master, options):
    """It is the new version that was given up, and the old one comes back: nothing is FATAL, and nobody leaves for it."""
    config = program("exec sleep 1000", workers=2, exit_on_fatal=True, **options)
    one = master(config)
    config["programs"]["job"].update(command=["sh", "-c", "exit 5"], start_seconds="20s")
    one.write(config)
    one.hup("rolled_back")
    one.wait_ready()
    assert len(one.pids()) == 2 and "FATAL" not in one.log.text()


def test_reload_tries_again(master, directory):
    """What was given up, and what has done its work, is started in the new generation."""
    good = directory / "good"
    config = program(f"test -e {good} || exit 5; exec sleep 1000", start_retries=0)
    config["programs"]["once"] = {"command": ["sh", "-c", "exit 0"], "restart": "never", "start_seconds": "0s"}
    one = master(config, ready=False)
    one.wait(lambda status: [slot["state"] for slot in one.slots(status=status)] == ["FATAL", "EXITED"], "both are over")
    good.touch()
    assert one.reload()["result"] == "committed"
    assert len(one.pids("job")) == 1
    one.wait(lambda status: [slot["state"] for slot in one.slots("once", status)] == ["EXITED"], "it has done it again")


def test_a_slot_that_is_over_holds_nobody_up(master, port):
    """Reloads replace the others within their limits, and are ready without it."""
    config = configs.echo(f"127.0.0.1:{port}", workers=3, restart="never", start_seconds="0s", reload={"max_unavailable": 1})
    one = master(config)
    os.kill(one.pids()[1], signal.SIGKILL)
    one.wait(lambda status: one.slots(status=status)[1]["state"] == "EXITED", "one is over")
    assert one.status()["programs"][0]["state"] == "READY"
    assert one.reload()["result"] == "committed"
    assert len(one.pids()) == 3, "the new generation has it again"
