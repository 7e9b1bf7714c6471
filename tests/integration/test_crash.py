"""Workers that crash: between reloads, and in each phase of one."""
import os
import re
import signal

import pytest

from harness import configs, proc
from harness.master import reload_of, state
from harness.record import Record


def gated(directory, workers=3, **reload):
    """Recorders that are ready when their gate opens: Gate(generation, slot). Generation 1 has no gates."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, f"--gate={directory}/gate", workers=workers)
    config["programs"]["rec"].update(disconnect_timeout="30s", stop_timeout="1s", backoff={"initial": "50ms"},
                                     reload={"canary": True, "max_unavailable": 1, "probation": "0s", **reload})
    return record, config


class Gate:
    def __init__(self, directory, generation, slot):
        self.path = f"{directory}/gate.{generation}.{slot}"
        os.mkfifo(self.path)

    def open(self):
        """Lets one worker that waits there go on (blocks until there is one), and all later ones."""
        writer = os.open(self.path, os.O_WRONLY)
        os.unlink(self.path)
        os.close(writer)


def current(one, slot, generation=None):
    """Pid of a slot's worker that was not told to leave."""
    for worker in one.slots("rec")[slot]["workers"]:
        if state(worker) in ("ready", "starting") and generation in (None, worker["generation"]):
            return worker["pid"]
    raise one.failure(f"slot {slot} has nobody of generation {generation}")


def begin(one):
    """SIGHUP, without waiting."""
    one.kill(signal.SIGHUP)


def expect_end(one, result):
    status = one.wait(lambda status: reload_of(status).get("result"), "the reload has ended", 40)
    assert reload_of(status)["result"] == result, one.failure(reload_of(status))
    one.wait_ready()
    one.wait_drained()
    return {worker["generation"] for worker in one.workers()}


def test_old_worker_crashes_while_the_canary_starts(master, directory):
    """It comes back in the old generation; the reload goes on."""
    record, config = gated(directory)
    one = master(config)
    gate = Gate(directory, 2, 0)
    begin(one)
    record.wait(event="start", generation=2, slot=0)
    os.kill(current(one, 1), signal.SIGKILL)
    record.wait(count=4, event="start", generation=1)
    assert record.entries(event="start", generation=1)[-1]["slot"] == 1
    assert not record.entries(event="message")
    gate.open()
    assert expect_end(one, "committed") == {2}


def test_canary_crashes(master, directory):
    record, config = gated(directory)
    one = master(config)
    gate = Gate(directory, 2, 0)
    before = one.pids()
    begin(one)
    record.wait(event="start", generation=2, slot=0)
    os.kill(current(one, 0, 2), signal.SIGKILL)
    assert expect_end(one, "rolled_back") == {1}
    assert one.pids() == before
    os.unlink(gate.path)


def test_slot_without_a_worker_gets_the_canary(master, directory):
    """Its worker has crashed: nobody is lost by trying there first."""
    record, config = gated(directory)
    config["programs"]["rec"]["backoff"] = {"initial": "50s", "max": "60s"}
    one = master(config)
    victim = current(one, 2)
    os.kill(victim, signal.SIGKILL)
    one.wait(lambda status: state(one.slots("rec", status)[2]) != "ready", "slot 2 is not ready")
    if not record.entries(event="start", generation=1)[3:]:
        begin(one)
        assert record.wait(event="start", generation=2)[0]["slot"] == 2
        assert expect_end(one, "committed") == {2}


def test_untold_worker_crashes_while_rolling(master, directory):
    """After the canary is proven it comes back in the new generation."""
    record, config = gated(directory)
    one = master(config)
    gate = Gate(directory, 2, 1)
    begin(one)
    record.wait(event="start", generation=2, slot=1)
    os.kill(current(one, 2, 1), signal.SIGKILL)
    record.wait(event="start", generation=2, slot=2)
    gate.open()
    assert expect_end(one, "committed") == {2}
    assert len(record.entries(event="start", generation=1)) == 3


def test_draining_worker_crashes(master, directory):
    """Dying while it drains is leaving."""
    record, config = gated(directory)
    config["programs"]["rec"]["command"].append("--silent")
    one = master(config)
    begin(one)
    for slot in range(3):
        (entry,) = record.wait(event="message", slot=slot)
        os.kill(entry["pid"], signal.SIGKILL)
    assert expect_end(one, "committed") == {2}
    one.stop(signal.SIGQUIT)


def test_new_worker_crashes_while_rolling(master, directory):
    """One that had been ready and dies comes back in the new generation; one that dies before has failed."""
    record, config = gated(directory)
    one = master(config)
    gate = Gate(directory, 2, 2)
    begin(one)
    record.wait(event="start", generation=2, slot=2)
    os.kill(current(one, 0, 2), signal.SIGKILL)
    record.wait(count=2, event="start", generation=2, slot=0)
    gate.open()
    assert expect_end(one, "committed") == {2}


def test_new_worker_crashes_before_it_is_ready(master, directory):
    record, config = gated(directory)
    one = master(config)
    gate = Gate(directory, 2, 1)
    begin(one)
    record.wait(event="start", generation=2, slot=1)
    os.kill(current(one, 1, 2), signal.SIGKILL)
    assert expect_end(one, "rolled_back") == {1}
    os.unlink(gate.path)


def test_crash_while_rolling_back(master, directory):
    """In the way back there is only one generation to come back in: the old one."""
    record, config = gated(directory)
    one = master(config)
    failing, returning = Gate(directory, 2, 1), Gate(directory, 1, 0)
    begin(one)
    record.wait(event="start", generation=2, slot=1)
    os.kill(current(one, 1, 2), signal.SIGKILL)
    # Slot 0 is on its way back and waits at its gate; slot 2 was never told.
    record.wait(count=2, event="start", generation=1, slot=0)
    os.kill(current(one, 2, 1), signal.SIGKILL)
    record.wait(count=2, event="start", generation=1, slot=2)
    returning.open()
    assert expect_end(one, "rolled_back") == {1}
    assert not record.entries(event="message", generation=1, slot=2)
    os.unlink(failing.path)


def test_a_newer_reload_beats_a_rollback(master, directory):
    """The repaired version need not wait until the broken one is gone everywhere."""
    record, config = gated(directory)
    one = master(config)
    failing, returning = Gate(directory, 2, 1), Gate(directory, 1, 0)
    begin(one)
    record.wait(event="start", generation=2, slot=1)
    os.kill(current(one, 1, 2), signal.SIGKILL)
    record.wait(count=2, event="start", generation=1, slot=0)
    one.hup()
    one.wait_drained()
    assert {worker["generation"] for worker in one.workers()} == {3}
    for gate in (failing, returning):
        os.unlink(gate.path)


def test_a_newer_reload_supersedes(master, directory):
    """The second one takes over at once; each has exactly one result."""
    record, config = gated(directory)
    one = master(config)
    gate = Gate(directory, 2, 1)
    begin(one)
    record.wait(event="start", generation=2, slot=1)
    one.hup()
    one.wait_drained()
    assert {worker["generation"] for worker in one.workers()} == {3}
    assert one.log.count(r"reload 1 (committed|rolled back|superseded|degraded|refused)") == 1
    assert one.wait_line(r"reload 1 superseded")
    os.unlink(gate.path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_crash_between_reloads(master, directory, number):
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, "--ready", workers=2))
    first = one.pids()
    os.kill(first[0], number)
    one.wait_line(rf"rec/0: died, pid {first[0]}, {number.name}")
    record.wait(count=2, event="start", slot=0)
    one.wait_ready()
    assert one.pids()[1] == first[1]
    assert {worker["generation"] for worker in one.workers()} == {1}


def test_backoff_grows(master, directory):
    """Each failure in a row waits longer, as the log says; an end is in sight at max."""
    config = {"programs": {"bad": {"command": configs.fault("exit=7"), "backoff":
                                   {"initial": "50ms", "factor": 2, "max": "300ms", "jitter": 0}}}}
    one = master(config, ready=False)
    one.await_socket().close()
    one.wait_line(r"bad/0: .*restarting in", times=6)
    delays = [match[1] for line in one.log.read() if (match := re.search(r"bad/0: .*restarting in (\d+ \w+)", line))]
    assert delays[:5] == ["50 ms", "100 ms", "200 ms", "300 ms", "300 ms"]
    assert re.search(r"bad/0: .*pid \d+, .*7", one.log.find(r"bad/0: .*restarting in 50 ms").string)
    assert state(one.slots("bad")[0]) in ("backoff", "starting")


def test_missing_binary_at_start(master, directory):
    """The exact step and errno; the master keeps trying, and succeeds once the file is there."""
    server = directory / "server"
    one = master({"programs": {"web": {"command": [str(server)], "start_seconds": "50ms", "backoff": {"max": "200ms"}}}}, ready=False)
    one.wait_line(rf"web/0: cannot execute '{server}': No such file or directory")
    draft = directory / "draft"
    draft.write_text("#!/bin/sh\nexec sleep 1000\n")
    draft.chmod(0o755)
    draft.rename(server)
    one.wait_ready()


def test_leader_leaves_its_group_behind(master, directory):
    """A leader that exits is dead, but its place is free only when its group is empty."""
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, "--ready", "--child", workers=1, stop_timeout="500ms"))
    (first,) = one.pids()
    (child,) = proc.children(first)
    os.kill(first, signal.SIGKILL)
    record.wait(count=2, event="start")
    proc.wait_gone(child)
    one.wait_ready()


def test_a_stopped_worker_is_replaced(master, directory):
    """SIGSTOP: it reads nothing and says nothing; the reload ends all the same."""
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, "--ready", workers=2, disconnect_timeout="500ms", stop_timeout="500ms",
                                   drain_grace="100ms"))
    first = one.pids()
    os.kill(first[1], signal.SIGSTOP)
    one.hup()
    one.wait_drained()
    assert not proc.is_running(first[1])
    assert one.generation() == 2


def test_no_commit_while_a_program_that_was_done_is_down(master, directory):
    """Its new worker dies while another program still rolls: the reload waits until it is ready again."""
    record, config = gated(directory, workers=2)
    config["programs"]["rec"]["priority"] = 5
    config["programs"]["first"] = {"command": configs.fault("ready"), "priority": 1, "start_seconds": "1ms",
                                   "backoff": {"initial": "1s"}, "reload": {"canary": True}}
    one = master(config)
    gate = Gate(directory, 2, 1)
    begin(one)
    record.wait(event="start", generation=2, slot=1)
    os.kill(one.pids("first")[0], signal.SIGKILL)
    one.wait_line("first/0: died, .*restarting in")
    gate.open()
    assert expect_end(one, "committed") == {2}
    lines = [line for line in one.log.read() if "first/0: ready" in line or "first: reload" in line]
    assert len(lines) == 4 and "committed" in lines[3], lines
