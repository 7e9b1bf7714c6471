"""sd_notify's watchdog: who does not say WATCHDOG=1 in time is replaced, gracefully and then firmly."""
import os
import signal

import pytest
from harness import health, proc


def replaced(one, before, slot=0):
    """Until another one is in that slot alone, and the old one is gone. Returns all pids."""
    def is_replaced(status):
        pids = one.pids(status=status)
        return len(pids) == len(before) and pids[slot] != before[slot] and not proc.is_running(before[slot])
    after = one.pids(status=one.wait(is_replaced, f"the worker of slot {slot} was replaced"))
    assert [pid for i, pid in enumerate(after) if i != slot] == [pid for i, pid in enumerate(before) if i != slot]
    return after


def test_environment(master, directory):
    one = master(health.patients(directory, watchdog="150s", environment={"WATCHDOG_USEC": "7", "WATCHDOG_PID": "8"}))
    for pid in one.pids():
        environment = proc.environment(pid)
        assert environment["WATCHDOG_USEC"] == "150000000"
        assert environment["WATCHDOG_PID"] == str(pid)


def test_none_without_the_key(master, directory):
    health.ask(directory, "watchdog", "silent")
    health.ask(directory, "say", "WATCHDOG=trigger")
    one = master(health.patients(directory), environment={"WATCHDOG_USEC": "5000", "WATCHDOG_PID": "1"})
    before = one.pids()
    assert "WATCHDOG_USEC" not in proc.environment(before[0])
    os.kill(before[0], signal.SIGUSR1)
    health.ask(directory, "say", "STATUS=here")
    os.kill(before[1], signal.SIGUSR1)
    one.wait(lambda status: any(worker.get("text") == "here" for worker in one.workers(status=status)), "it was heard")
    assert one.pids() == before and "unhealthy" not in one.log.text()


@pytest.mark.key("programs.NAME.watchdog")
@pytest.mark.parametrize("how", ["silent", "stopped"])
def test_a_worker_that_hangs(master, directory, how):
    one = master(health.patients(directory, watchdog="4s", disconnect_timeout="3s"))
    before = one.pids()
    if how == "silent":
        health.ask(directory, "watchdog", "silent", slot=0)
        one.wait_line("ward/0: unhealthy: no WATCHDOG=1 within 4.0 s")
        health.ask(directory, "watchdog", "ping", slot=0)
    else:
        os.kill(before[0], signal.SIGSTOP)
    replaced(one, before)
    one.wait(lambda status: health.conditions(status) == ["healthy"] * 2, "all are well")
    log = one.log.text()
    assert "ward/0: draining" in log
    assert ("not closed within 3.0 s" in log) == (how == "stopped"), "graceful, and firm where that does not help"


def test_trigger(master, directory):
    one = master(health.patients(directory, watchdog="1h"))
    before = one.pids()
    one.wait(lambda status: health.conditions(status) == ["healthy"] * 2, "all have said it")
    health.ask(directory, "say", "WATCHDOG=trigger")
    os.kill(before[1], signal.SIGUSR1)
    one.wait_line("ward/1: unhealthy: it asked for it by WATCHDOG=trigger")
    replaced(one, before, slot=1)


def test_another_time_by_message(master, directory):
    one = master(health.patients(directory, watchdog="1h"))
    before = one.pids()
    health.ask(directory, "watchdog", "silent", slot=0)
    health.ask(directory, "say", "WATCHDOG_USEC=200000")
    os.kill(before[0], signal.SIGUSR1)
    one.wait_line("ward/0: unhealthy: no WATCHDOG=1 within 200 ms")
    health.ask(directory, "watchdog", "ping", slot=0)
    replaced(one, before)


def test_a_master_that_hangs_blames_nobody(master, directory):
    one = master(health.patients(directory, watchdog="2s"))
    before = one.pids()
    one.kill(signal.SIGSTOP)
    try:
        os.waitid(os.P_PID, one.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(AssertionError):
            proc.wait_until(lambda: False, "time passes", seconds=4)
    finally:
        one.kill(signal.SIGCONT)
    one.wait(lambda status: health.conditions(status) == ["healthy"] * 2, "all are well")
    assert one.pids() == before and "unhealthy" not in one.log.text()


def test_who_gets_well_is_spared(master, directory):
    """Its successor is not ready yet."""
    one = master(health.patients(directory, "fd:3", watchdog="2s", listen="unix:" + str(directory / "a.sock"), workers=1))
    before = one.pids()
    (directory / "unready").touch()
    health.ask(directory, "watchdog", "silent")
    one.wait_line("ward/0: unhealthy")
    one.wait_line("ward/0: up, pid", times=2)
    health.ask(directory, "watchdog", "ping")
    one.wait_line("ward/0: not unhealthy any more")
    one.wait(lambda status: len(one.workers(status=status)) == 1, "the successor is gone")
    assert one.pids() == before


def test_all_fall_silent(master, directory, port):
    """Nobody gets well, so those that are there stay, and status says why; then all is well again."""
    one = master(health.patients(directory, "fd:3", workers=4, watchdog="3s", listen=f"127.0.0.1:{port}"))
    before = one.pids()
    health.ask(directory, "watchdog", "silent")
    one.wait_line("ward: 4 of 4 workers unhealthy, and the replacement in slot . did not get well either: they stay", seconds=30)
    assert one.pids() and set(before) <= set(one.pids())
    shown = one.ctl("status").stdout
    assert "health: 4 of 4 workers unhealthy; a new one is not well either, so they stay" in shown
    assert "unhealthy: no WATCHDOG=1 within 3.0 s" in shown
    health.ask(directory, "watchdog", "ping")
    one.wait(lambda status: health.conditions(status) == ["healthy"] * 4, "all are well")
    assert one.pids() == before
    assert "health" not in one.status()["programs"][0]
