"""Workers that mean no good, or are broken: the master serves the others, bounded, and says what it saw."""
import os
import signal

import pytest

from harness import Load, configs, proc
from harness.master import state


def beside_echo(port, *faults, **program):
    config = configs.echo(f"127.0.0.1:{port}", workers=2)
    config["programs"]["bad"] = {"command": configs.fault(*faults), "stop_timeout": "1s", "disconnect_timeout": "1s",
                                 "start_seconds": "100ms", "reload": {"probation": "0s"}, "drain_grace": "100ms", **program}
    return config


FLOODS = {
    "garbage": ["flood=20000000", "ready"],
    "10 MB without a newline": ["long=10000000", "line=", "ready"],
    "messages": ["messages=100000", "ready"],
    "descriptors": ["fds"] * 50 + ["ready"],
    "notify garbage": ["notify-flood=20000", "ready"],
    "notify descriptors": ["notify-fds"] * 50 + ["ready"],
    "closes its channel": ["close", "notify=READY=1"],
    "nonsense by notify": ["notify=MAINPID=1\\nWATCHDOG_USEC=abc\\nEXTEND_TIMEOUT_USEC=-1\\n=\\nREADY=2\\nSTATUS=" + "x" * 3000, "ready"],
    "foreign MAINPID": ["notify=MAINPID=1\\nREADY=1"],
    "deep JSON": ["line=" + "[" * 60000, "ready"],
    "odd words": ["line=\"fully_closed\"", "line=\"graceful_shutdown\"", "line={\"reloader\":7}", "line={\"reloader\":\"listeners\"}", "ready"],
}


@pytest.mark.sanitized
@pytest.mark.limit(90)
@pytest.mark.parametrize("faults", FLOODS.values(), ids=FLOODS.keys())
def test_floods(master, directory, port, faults):
    """The other program is reloaded under load meanwhile; no memory, no descriptor, no endless log."""
    one = master(beside_echo(port, *faults), ready=False)
    one.wait(lambda status: all(state(slot) == "ready" for slot in one.slots("echo", status)), "echo is ready")
    with Load(directory, f"127.0.0.1:{port}", 200, 10):
        one.wait_ready()
        one.expect_reload("committed")
        one.wait_ready()
        one.wait_drained()
    assert int(proc.field(one.pid, "VmHWM").split()[0]) < 40 << 10 or "ASAN_OPTIONS" in os.environ or "RELOADER_WRAPPER" in os.environ
    assert len(one.log.read()) < 500, "the log is bounded too"
    assert len(proc.fds(one.pid)) < 50, proc.fds(one.pid)


def test_forged_notify_datagrams(master, port):
    """READY=1 and STOPPING=1 sent to another worker's socket are not believed."""
    config = beside_echo(port, "forge=victim", "ready", ready="message")
    config["programs"]["victim"] = {"command": configs.fault(), "ready": "notify", "start_timeout": "10m", "drain": "signal"}
    one = master(config, ready=False)
    one.wait(lambda status: [state(slot) for slot in one.slots("bad", status)] == ["ready"], "the forger has done its work")
    assert state(one.slots("victim")[0]) == "starting"
    assert one.workers("victim")[0].get("text") != "forged"


def test_leader_that_forks_away(master, port):
    """A daemon's way of starting: its leader's exit is its end; what it left in the group is ended too."""
    one = master(beside_echo(port, "fork", backoff={"initial": "20s", "max": "20s"}), ready=False)
    one.wait_line(r"bad/0: .*restarting in", seconds=30)
    proc.wait_until(lambda: not [pid for pid in proc.descendants(one.pid) if "fault.py" in proc.describe(pid)
                                 and proc.is_running(pid)], "the child is gone")


def test_ignores_everything(master, port):
    """Neither words nor TERM: KILL after stop_timeout, and the reload commits."""
    one = master(beside_echo(port, "ignore-term", "ready", ready="message"))
    (first,) = one.pids("bad")
    one.expect_reload("committed")
    one.wait_drained()
    assert not proc.is_running(first)


def test_output_does_not_block_the_master(master, directory, port):
    """A log that nobody reads (a full pipe): the master goes on."""
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    try:
        while True:
            os.write(sender, b"x" * 65536)
    except BlockingIOError:
        os.set_blocking(sender, True)
    config = configs.echo(f"127.0.0.1:{port}", workers=1, silent=True)
    one = master(config, wrapper=["sh", "-c", f'exec "$@" 2>/proc/{os.getpid()}/fd/{sender}', "sh"])
    one.expect_reload("committed")
    one.expect_reload("committed")
    one.stop()
    os.close(receiver)
    os.close(sender)


def test_leader_that_left_its_group(master, port):
    """SIGKILL finds it nevertheless, or the shutdown would never end."""
    one = master(beside_echo(port, "ignore-term", "join-group", "ready", ready="message"))
    pid = one.pids("bad")[0]
    one.stop()
    assert not proc.is_running(pid)


def test_ready_and_stopping_at_once(master, port):
    """One that says so and stays for a while is replaced with backoff, not at once each time."""
    config = beside_echo(port, "notify=READY=1", "notify=STOPPING=1", backoff={"initial": "10m", "max": "1h"},
                         disconnect_timeout="10m", reload={"canary": True})
    one = master(config, ready=False)
    one.wait_line("bad/0: draining, by itself")
    one.wait(lambda status: state(one.slots("bad", status)[0]) == "backoff", "it waits before the next one")
    assert sum("bad/0: up" in line for line in one.log.read()) == 1
    one.kill(signal.SIGQUIT)
    one.wait_end()


def test_status_that_is_no_text(master, port):
    """Bytes that are no UTF-8, and more than fits: the worker stays in the status, no character is cut in two."""
    one = master(beside_echo(port, "odd-status", "ready", ready="message"))
    text = one.workers("bad")[0]["text"]
    assert text.startswith("caf? \u20ac") and text.endswith("\u20ac"), text
    assert 250 < len(text.encode()) <= 256
