"""
A wrapper that does not exec its server: the shell dies of the signal at once, and its server never gets one. Who is waited for after the log's "gone",
for how long and why is said, and the server ends as kill_mode says.
"""
import os
import signal

import pytest

from harness import proc
from harness.paths import PYTHON

# Writes down what it gets; the argument says whether it heeds it.
SERVER = """
import os, signal, sys
def got(number, _):
    with open(sys.argv[1], "a") as record:
        record.write(f"{signal.Signals(number).name}\\n")
    if sys.argv[2] == "heeds":
        os._exit(0)
signal.signal(signal.SIGTERM, got)
signal.signal(signal.SIGQUIT, got)
open(sys.argv[1], "a").close()
while True:
    signal.pause()
"""


class Wrapped:
    def __init__(self, master, directory, how="heeds", **options):
        (directory / "server.py").write_text(SERVER)
        self.record = directory / "got"
        command = f"{PYTHON} -S {directory}/server.py {self.record} {how}; true"
        self.one = master({"programs": {"web": {"command": ["/bin/sh", "-c", command], "start_seconds": "10ms", **options}}}, ready=False)
        self.one.await_socket()
        proc.wait_until(self.record.exists, "the server is up")
        (worker,) = self.one.workers("web", self.one.status())
        self.leader = worker["pid"]
        (self.server,) = proc.children(self.leader)

    def got(self):
        return self.record.read_text().split()


def test_it_is_said_who_lives_on(master, directory):
    """After the shell's end, once, with name and what comes next; and as long as it lasts by status."""
    wrapped = Wrapped(master, directory, drain="signal", drain_signal="TERM", disconnect_timeout="1h", stop_signal="QUIT")
    one = wrapped.one
    one.wait_ready()
    one.ctl("stop", "web", "--no-wait", code=0)
    one.wait_line(rf"web/0: gone, pid {wrapped.leader}, SIGTERM")
    who = rf"pid {wrapped.server} \(python3\) of its process group lives on"
    one.wait_line(rf" info web/0: {who}, and may finish; stop_signal comes in [\w. ]+ \(disconnect_timeout\); if what was started is a wrapper, "
                  r"such as a shell, let it exec its server, or set kill_mode: group$")
    assert f"pid {wrapped.server} (python3) of its process group lives on" in one.ctl("status").stdout
    assert wrapped.got() == [] and proc.is_running(wrapped.server)
    one.ctl("stop", "web", "--force", code=0)
    assert wrapped.got() == ["SIGQUIT"] and not proc.is_running(wrapped.server)
    assert one.log.count("lives on") == 1


def test_its_stop_signal_reaches_the_rest(master, directory):
    """Where the shell got the stop_signal, the server gets it then, and is not killed when stop_timeout is over."""
    wrapped = Wrapped(master, directory, ready="message", start_timeout="1h", stop_timeout="1h")
    wrapped.one.ctl("stop", "web", code=0)
    assert wrapped.got() == ["SIGTERM"] and not proc.is_running(wrapped.server)


def test_one_that_heeds_no_signal(master, directory):
    """What comes next is SIGKILL then, and so is it said."""
    wrapped = Wrapped(master, directory, "defies", ready="message", start_timeout="1h", stop_timeout="3s")
    wrapped.one.ctl("stop", "web", code=0)
    assert wrapped.got() == ["SIGTERM"] and not proc.is_running(wrapped.server)
    wrapped.one.wait_line(rf" info web/0: pid {wrapped.server} \(python3\) of its process group lives on, and got stop_signal; SIGKILL comes in "
                          r"[\d.]+ s \(stop_timeout\); if what was started is a wrapper, such as a shell")


@pytest.mark.parametrize("options", [{"kill_mode": "group"}, {"kill_mode": "process"}])
def test_nothing_is_said_where_nobody_is_waited_for(master, directory, options):
    wrapped = Wrapped(master, directory, drain="signal", **options)
    wrapped.one.wait_ready()
    wrapped.one.ctl("stop", "web", code=0)
    assert wrapped.got() == (["SIGTERM"] if options["kill_mode"] == "group" else [])
    if proc.is_running(wrapped.server):
        os.kill(wrapped.server, signal.SIGKILL)
    assert wrapped.one.log.count("of its process group") == 0
