"""More and fewer workers of a running program: nobody is replaced, nobody is refused."""
import json
import os
import signal

import pytest
from harness import BINARIES, Load, configs, proc
from harness.changes import inode, ports
from harness.varlink import VarlinkError


def scale(one, number, program="echo"):
    return one.ctl("scale", program, str(number))


def wait_workers(one, n):
    one.wait(lambda _: len(one.pids()) == n == len(proc.children(one.pid)), f"{n} workers")


def test_up_and_down_under_load(master, directory, port):
    one = master(configs.echo(port))
    before, socket = one.pids(), inode(port)
    with Load(directory, f"127.0.0.1:{port}", 1000, 30) as load:
        for number, workers in ((7, 7), ("+2", 9), ("-3", 6), (2, 2), (4, 4)):
            out = scale(one, number)
            assert (out.returncode, out.stdout) == (0, f"echo: {workers} workers\n"), out
            wait_workers(one, workers)
            load.flow(0.1)
            assert one.pids()[:2] == before[:2], "those that stay are the same"
    assert inode(port) == socket
    assert {past["kind"] for past in one.call("History")["reloads"]} == {"scale"}


@pytest.mark.parametrize("sharing", ["shared", "per_worker"])
def test_sockets_of_slots(master, directory, port, sharing):
    config = configs.echo(port, socket={"sharing": sharing}, workers=2)
    one = master(config)
    wanted = {"shared": lambda n: 1, "per_worker": lambda n: n}[sharing]
    with Load(directory, f"127.0.0.1:{port}", 500, 0) as load:
        for number in (5, 3, 6, 1):
            assert scale(one, number).returncode == 0
            wait_workers(one, number)
            proc.wait_until(lambda n=number: len(proc.tcp_listeners(port)) == wanted(n), f"sockets for {number}", 30)
            load.flow(0.1)


def test_an_address_for_each_slot(master, directory):
    first, = ports(1)
    one = master({"programs": {"echo": {"command": [BINARIES.tcp_echo], "workers": 1, "numprocs_start": first,
                                        "listen": "127.0.0.1:%(process_num)d"}}})
    taken = master({"programs": {"other": {"command": [BINARIES.tcp_echo], "listen": f"127.0.0.1:{first + 2}"}}}, name="other")
    assert scale(one, 2).returncode == 0
    wait_workers(one, 2)
    assert inode(first + 1)
    out = scale(one, 3)
    assert out.returncode == 1 and f"127.0.0.1:{first + 2}" in out.stderr and "in use" in out.stderr, out
    assert len(one.pids()) == 2
    taken.stop()


def test_until_the_next_reload(master, port):
    one = master(configs.echo(port, workers=2))
    scale(one, 5)
    wait_workers(one, 5)
    one.ctl("restart", "echo", code=0)
    wait_workers(one, 5)
    assert one.ctl("undo").returncode == 1, "that was nothing to undo"
    one.hup("committed")
    wait_workers(one, 2)


def test_a_crash_changes_nothing(master, port):
    one = master(configs.echo(port, workers=1))
    scale(one, 3)
    wait_workers(one, 3)
    victim = one.pids()[2]

    os.kill(victim, signal.SIGKILL)
    one.wait(lambda status: victim not in one.pids(status=status) and len(one.pids(status=status)) == 3, "it was replaced")


def test_signals(master, port):
    """They mean the program with the lowest priority number that is to run."""
    one = master({"programs": {
        "second": {"command": ["sleep", "1000"], "start_seconds": 0, "priority": 2},
        "stopped": {"command": ["sleep", "1000"], "start_seconds": 0, "priority": 0, "autostart": False},
        "first": {"command": ["sleep", "1000"], "start_seconds": 0, "priority": 1}}})
    for number, workers in ((signal.SIGTTIN, 2), (signal.SIGTTIN, 3), (signal.SIGTTOU, 2), (signal.SIGTTOU, 1)):
        one.kill(number)
        one.wait(lambda _, n=workers: len(one.pids("first")) == n and len(proc.children(one.pid)) == n + 1, f"{workers} workers")
    one.kill(signal.SIGTTOU)
    one.wait_line("first: the number of workers stays: it is from 1 to 1024")
    assert len(one.pids("second")) == 1


def test_a_stopped_program(master, port):
    one = master(configs.echo(port, workers=2))
    one.ctl("stop", "echo", code=0)
    assert scale(one, 4).stdout == "echo: as many when it is started\n"
    assert not one.pids()
    one.ctl("start", "echo", code=0)
    wait_workers(one, 4)


@pytest.mark.parametrize("words", [[], ["echo"], ["echo", "x"], ["echo", ""], ["echo", "+"], ["echo", "1", "2"], ["echo", "1.5"]], ids=" ".join)
def test_usage(master, port, words):
    one = master(configs.echo(port, workers=1))
    assert one.ctl("scale", *words).returncode == 2


@pytest.mark.parametrize("parameters, error", [
    ({"program": "echo", "workers": 0}, "Failed"), ({"program": "echo", "workers": 1025}, "Failed"),
    ({"program": "echo", "by": -1}, "Failed"), ({"program": "echo", "by": 1 << 62}, "Failed"),
    ({"program": "nix", "workers": 2}, "NoSuchProgram"), ({"program": "echo"}, "InvalidParameter"),
    ({"program": "echo", "workers": 2, "by": 1}, "InvalidParameter"),
], ids=json.dumps)
def test_what_is_refused(master, port, parameters, error):
    one = master(configs.echo(port, workers=1))
    with pytest.raises(VarlinkError) as caught:
        one.call("Scale", parameters)
    assert error in str(caught.value)
    assert len(one.pids()) == 1


def test_not_during_a_reload(master, directory, port):
    gate = directory / "gate"
    one = master(configs.echo(port, workers=2))
    before = one.pids()
    one.programs["echo"]["command"] = ["sh", "-c", f'while [ ! -e "{gate}" ]; do sleep 0.05; done; exec "{BINARIES.tcp_echo}"']
    one.programs["echo"]["ready"] = "message"
    one.write()
    with one.connect() as waiting:
        waiting.send("Reload")
        one.wait_line("echo/0: up, pid .*, generation 2")
        out = scale(one, 3)
        assert out.returncode == 1 and "a reload is about" in out.stderr
        one.kill(signal.SIGTTIN)
        one.wait_line("echo: the number of workers stays: a reload is about")
        gate.touch()
        assert waiting.receive()["parameters"]["result"] == "committed"
    one.wait_drained()
    assert len(one.pids()) == 2 and not set(before) & set(one.pids())
