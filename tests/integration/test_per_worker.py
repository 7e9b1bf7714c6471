"""sharing: per_worker - a socket for each slot, and clients steered to where somebody is ready."""
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time

import pytest

from harness import BINARIES, Load, configs, isolation, proc
from harness.paths import PYTHON, WORKERS

pytestmark = pytest.mark.heavy


def echo(port, workers=4, **program):
    config = configs.echo(f"127.0.0.1:{port}", workers=workers, command=[BINARIES.tcp_echo, "--who"], **program)
    config["sockets"]["echo"]["sharing"] = "per_worker"
    return config


def inodes(one, fd=3):
    """The listening socket of each slot, as its worker has it."""
    return [proc.socket_inode(pid, fd) for pid in one.pids()]


@pytest.mark.key("sockets.NAME.sharing")
@pytest.mark.sanitized
def test_one_socket_for_each_slot(master, port):
    one = master(echo(port))
    sockets = inodes(one)
    assert len(set(sockets)) == 4 and sorted(sockets) == sorted(proc.tcp_listeners(port))
    one.hup()
    assert inodes(one) == sockets
    before = one.pids()
    os.kill(before[2], signal.SIGKILL)
    one.wait(lambda _: len(after := one.pids()) == 4 and after[2] != before[2], "another worker in slot 2")
    assert inodes(one) == sockets


def await_servers(port, word, wanted):
    """Until each of them has served us: a worker that gets no CPU for a while leaves it to the others."""
    served = set()

    def ask():
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(b"WHO\n")
            served.add(re.search(rf"{word}=(\d+)", client.recv(100).decode())[1])
        return served >= wanted
    proc.wait_until(ask, f"{word} {wanted} serve")
    assert served == wanted


def test_even_load(master, directory, port):
    """Counted by who served: nobody has more than twice as much as another."""
    one = master(echo(port))
    with Load(directory, f"127.0.0.1:{port}", 0, 0, who_rate=2000) as load:
        load.flow(1)
    counts = load.served_by("slot")
    assert len(counts) == 4 and max(counts.values()) <= 2 * min(counts.values()), counts
    one.stop()


@pytest.mark.limit(120)
def test_reloads_under_load(master, directory, port):
    one = master(echo(port))
    sockets = inodes(one)
    with Load(directory, f"127.0.0.1:{port}", 1500, 100, who_rate=200) as load:
        for _ in range(5):
            one.hup()
        one.wait_drained()
        load.flow(0.2)
    assert inodes(one) == sockets
    assert "6" in load.served_by("generation")


@pytest.mark.limit(120)
def test_crashing_slot_is_steered_around(master, directory, port):
    """While nobody is in slot 1, its share goes to the others at once; when it is back, it gets it again."""
    flag = directory / "broken"
    script = f'[ -e {flag} ] && [ "$RELOADER_SLOT" = 1 ] && exit 1; exec {BINARIES.tcp_echo} --who'
    one = master(echo(port, backoff={"initial": "10ms", "max": "50ms"}))
    one.programs["echo"]["command"] = ["/bin/sh", "-c", script]
    one.write()
    one.hup()
    flag.touch()
    (victim,) = [worker["pid"] for worker in one.slots()[1]["workers"] if worker["state"] == "READY"]
    os.kill(victim, signal.SIGKILL)
    one.wait(lambda status: not [worker for worker in one.slots(status=status)[1]["workers"] if worker["pid"] == victim], "it is gone")
    with Load(directory, f"127.0.0.1:{port}", 0, 0, who_rate=1000, name="without") as load:
        load.flow(1)
    counts = load.served_by("slot")
    assert sorted(counts) == ["0", "2", "3"] and max(counts.values()) <= 2 * min(counts.values()), counts
    flag.unlink()
    one.wait_ready()
    with Load(directory, f"127.0.0.1:{port}", 0, 0, who_rate=1000, name="with") as load:
        load.flow(1)
    assert sorted(load.served_by("slot")) == ["0", "1", "2", "3"]


@pytest.mark.limit(150)
def test_scaling_under_load(master, directory, port):
    """4, 8, 2, 4: nobody is refused or reset, and what is not needed any more is closed in the end."""
    one = master(echo(port))
    with Load(directory, f"127.0.0.1:{port}", 1500, 50, who_rate=200) as load:
        for workers in (8, 2, 4):
            one.programs["echo"]["workers"] = workers
            one.write()
            one.hup()
            assert len(one.pids()) == workers
            proc.wait_until(lambda: len(proc.tcp_listeners(port)) == workers, f"{workers} sockets listen")
            await_servers(port, "slot", set(map(str, range(workers))))
            load.flow(0.2)
    assert sorted(load.served_by("slot")) == [str(number) for number in range(8)]


def test_canary_serves_clients(master, directory, port):
    """Also where workers become more: in its probation it has to meet real clients, or it proves nothing."""
    one = master(echo(port, workers=2, reload={"probation": "60s"}))
    one.programs["echo"]["workers"] = 4
    one.write()
    with one.connect() as waiting:
        waiting.send("Reload", {"wait": True})
        one.wait(lambda status: [worker for slot in one.slots(status=status) for worker in slot["workers"]
                                 if worker["state"] == "READY" and worker["generation"] == 2], "the canary is ready")
        with Load(directory, f"127.0.0.1:{port}", 0, 0, who_rate=500) as load:
            await_servers(port, "generation", {"1", "2"})
            await_servers(port, "slot", {"0", "1"})
        assert one.status()["reload"]["state"] == "canaries"
        assert set(load.served_by("generation")) <= {"1", "2"}
        assert set(load.served_by("slot")) <= {"0", "1"}


def test_added_slots_get_clients_at_the_commit(master, directory, port):
    """Before, they may go again: a worker that is ready but never accepts would take its clients along."""
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master(echo(port, workers=1, reload={"canary": False}))
    deaf = f'[ "$RELOADER_SLOT" = 1 ] && exec {shlex.join(configs.fault("ready"))}; exec {BINARIES.tcp_echo} --who'
    one.programs["echo"].update(command=["/bin/sh", "-c", deaf], workers=2)
    one.programs["late"] = {"command": ["/bin/sh", "-c", f"read word <{gate}; exit 7"], "priority": 2000, "start_seconds": "60s",
                            "reload": {"canary": False}}
    one.write()
    with one.connect() as waiting:
        waiting.send("Reload", {"wait": True})
        one.wait(lambda status: {worker["generation"] for slot in one.slots("echo", status) for worker in slot["workers"]
                                 if worker["state"] == "READY"} == {2} and len(one.pids("echo")) == 2, "both are replaced")
        for _ in range(64):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        gate.write_text("go on\n")
        assert waiting.receive()["parameters"]["result"] == "rolled_back"
    del one.programs["late"]
    one.programs["echo"].update(command=[BINARIES.tcp_echo, "--who"])
    one.write()
    one.expect_reload("committed")
    with Load(directory, f"127.0.0.1:{port}", 0, 0, who_rate=500) as load:
        load.flow(0.5)
    assert sorted(load.served_by("slot")) == ["0", "1"]


HASTY = """
import os, select, socket
listener, channel = socket.socket(fileno=3), socket.socket(fileno=int(os.environ["RELOADER_CHANNEL_FD"]))
channel.sendall(b'"ready"\\n')
while True:
    readable, _, _ = select.select([listener, channel], [], [])
    if channel in readable:
        os._exit(0)
    connection, _ = listener.accept()
    connection.sendall(connection.recv(100))
    connection.close()
"""


def queued(port):
    """How many connections wait at each listening socket."""
    lines = subprocess.run(["ss", "-Hltn", f"( sport = :{port} )"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[1]) for line in lines.splitlines()]


def test_scaling_down_waits_for_the_queue(master, port):
    """Of a slot that goes: its worker is told only when it has served all who wait at its socket, however hastily it leaves then."""
    config = echo(port, workers=2, ready="message")
    config["programs"]["echo"]["command"] = [PYTHON, "-S", "-c", HASTY]
    one = master(config)
    pids = one.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    clients = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(20)]
    proc.wait_until(lambda: all(queued(port)), "clients wait at both sockets")
    os.kill(pids[0], signal.SIGCONT)
    one.programs["echo"]["workers"] = 1
    one.write()
    with one.connect() as waiting:
        waiting.send("Reload", {"wait": True})
        one.wait(lambda status: status["reload"].get("state") == "rolling", "it rolls")
        os.kill(pids[1], signal.SIGCONT)
        for client in clients:
            client.sendall(b"hello\n")
            assert client.recv(100) == b"hello\n"
        assert waiting.receive()["parameters"]["result"] == "committed"


def test_queue_of_a_crashed_slot(master, directory, port):
    """Who waited at its socket is served by its next worker."""
    one = master(echo(port, workers=1, backoff={"initial": "10ms"}))
    (pid,) = one.pids()
    os.kill(pid, signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"hello\n")
        os.kill(pid, signal.SIGKILL)
        assert client.recv(100) == b"hello\n"


@pytest.mark.parametrize("listen,connect", [("[::1]:{}", "[::1]:{}"), ("[::]:{}", "127.0.0.1:{}"), ("{}", "127.0.0.1:{}")])
def test_families(master, directory, port, listen, connect):
    config = echo(port)
    config["sockets"]["echo"]["listen"] = listen.format(port)
    one = master(config)
    with Load(directory, connect.format(port), 0, 0, who_rate=1000) as load:
        load.flow(0.5)
        one.hup()
        load.flow(0.3)
    assert len(load.served_by("slot")) == 4


@pytest.mark.limit(120)
def test_udp(master, directory, port):
    """Every flow has its worker between reloads; none of its datagrams is lost by five reloads and by scaling."""
    one = master({"sockets": {"dns": {"listen": f"udp:127.0.0.1:{port}", "sharing": "per_worker"}},
                  "programs": {"dns": {"command": [PYTHON, "-S", str(WORKERS / "udp.py")], "sockets": ["dns"], "workers": 4,
                                       "ready": "message"}}})
    quiet = []

    def ask():
        """Of a flow of its own: the slot that serves it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.sendto(b"hello", ("127.0.0.1", port))
            return int(re.match(rb"slot=(\d+) ", client.recv(1000))[1])

    with Load(directory, f"127.0.0.1:{port}", 0, 0, udp_rate=1000, arguments=Load.PATIENT) as load:
        for workers in (4, 4, 4, 6, 3):
            one.programs["dns"]["workers"] = workers
            one.write()
            one.hup()
            one.wait_drained()
            # Sockets of slots that are no more leave the group with them, which moves flows once more.
            proc.wait_until(lambda workers=workers: len(proc.udp_sockets(port)) == workers, f"{workers} sockets")
            # What the master does then, it has done when it answers again.
            one.wait(lambda status, workers=workers: len(one.slots("dns", status)) == workers, "its slots are as many")
            began = time.monotonic()
            load.flow(0.3)
            quiet.append((began, time.monotonic()))
            served = set()
            proc.wait_until(lambda served=served, workers=workers: served.add(ask()) or len(served) == workers, "each slot serves")
            assert served == set(range(workers))
    for since, until in quiet:
        assert not load.moves(since, until)


def test_second_master_is_refused(master, port):
    """It would join the group without a word."""
    one = master(echo(port))
    other = master(echo(port), name="other", ready=False)
    other.wait_end(1)
    assert re.search(rf"127\.0\.0\.1:{port}: address in use by reloader \(pid {one.pid}\)", other.log.text())
    assert len(proc.tcp_listeners(port)) == 4


@pytest.mark.parametrize("listen,program,message", [
    ("unix:/tmp/x.sock", {}, r"sockets\.s\.sharing: per_worker is for internet sockets"),
    ("127.0.0.1:90%(process_num)02d", {}, r"sockets\.s\.sharing: .*leave out one of the two"),
    ("fd:3", {}, r"sockets\.s\.sharing: per_worker needs a socket for each slot"),
    ("9000", {"reload": {"max_surge": 0, "canary": False}}, r"programs\.p\.reload\.max_surge: with sockets of sharing: per_worker"),
])
def test_wrong_settings(directory, listen, program, message):
    path = directory / "check.yaml"
    path.write_text(json.dumps({"sockets": {"s": {"listen": listen, "sharing": "per_worker"}},
                                "programs": {"p": {"command": "true", "sockets": ["s"], **program}}}, indent=1))
    done = subprocess.run([BINARIES.reloader, "-t", path], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 3 and re.search(r"check\.yaml:\d+:\d+: " + message, done.stderr), done.stderr


def test_two_programs(directory):
    path = directory / "check.yaml"
    path.write_text(json.dumps({"sockets": {"s": {"listen": isolation.free_port(), "sharing": "per_worker"}},
                                "programs": {name: {"command": "true", "sockets": ["s"]} for name in "pq"}}))
    done = subprocess.run([BINARIES.reloader, "-t", path], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 3 and "belong to exactly one program, but 2 use this one" in done.stderr


def test_many_workers(master, directory, port):
    """The program for all of them fits into what the kernel takes, or it is said that it does not."""
    one = master(echo(port, workers=128))
    with Load(directory, f"127.0.0.1:{port}", 0, 0, who_rate=1000) as load:
        load.flow(0.5)
    assert len(load.served_by("slot")) > 64
    assert "cannot be steered" not in one.log.text()
    one.stop(signal.SIGQUIT)


def test_fewer_slots_of_a_program_that_is_not_started(master, port):
    """Its sockets wait for it, but no more of them than it has slots."""
    one = master(echo(port, autostart=False), ready=False)
    one.await_socket().close()
    assert len(proc.tcp_listeners(port)) == 4
    one.programs["echo"]["workers"] = 2
    one.write()
    one.hup()
    one.wait_line("reload 1 committed, ")
    proc.wait_until(lambda: len(proc.tcp_listeners(port)) == 2, "two sockets")


def test_more_slots_of_a_program_that_is_not_started_are_rolled_back(master, port):
    """What a reload that fails bound for it is closed again, though it has nobody who could leave."""
    one = master(echo(port, workers=2, autostart=False), ready=False)
    one.await_socket().close()
    one.programs["echo"]["workers"] = 4
    one.programs["bad"] = {"command": ["sh", "-c", "exit 7"]}
    one.write()
    one.expect_reload("rolled_back")
    proc.wait_until(lambda: len(proc.tcp_listeners(port)) == 2, "two sockets")


def test_fewer_slots_of_a_program_that_was_stopped(master, port):
    """Its workers drain: the sockets that they have stay until they are gone, and then no more of them than are wanted."""
    one = master(echo(port, drain_grace="1m", disconnect_timeout="1m"))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(64)]
        for client in clients:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        workers = one.pids()
        one.call("Stop", {"programs": ["echo"], "wait": False})
        one.wait(lambda _: all(slot["state"] == "DRAINING" for slot in one.slots()), "all four drain")
        one.programs["echo"]["workers"] = 2
        one.write()
        one.expect_reload("committed")
        assert len(proc.tcp_listeners(port)) == 4 and all(map(proc.is_running, workers))
    proc.wait_until(lambda: not any(map(proc.is_running, workers)), "they have drained")
    proc.wait_until(lambda: len(proc.tcp_listeners(port)) == 2, "two sockets")
    one.ctl("start", "echo", code=0)
    assert sorted(inodes(one)) == sorted(proc.tcp_listeners(port))


@pytest.mark.limit(120)
def test_moves_to_other_programs_under_load(master, directory, port):
    """From program to program, each with another number of workers, and with reloads that supersede each other halfway."""
    def moved(number):
        config = echo(port, workers=[6, 2, 5, 1][number % 4], environment={**configs.WORKER_ENVIRONMENT, "NUMBER": str(number)})
        return {**config, "programs": {f"echo-{number}": config["programs"]["echo"]}}

    one = master(moved(0))
    with Load(directory, f"127.0.0.1:{port}", 1500, 10, arguments=["--stream-linger", "50ms"]) as load:
        for number in range(1, 100):
            one.write({**moved(number), "runtime_directory": str(one.runtime)})
            one.kill(signal.SIGHUP)
            load.flow(0.015)
            if number % 10 == 0:
                one.expect_reload("committed")
        one.expect_reload("committed")
        proc.wait_until(lambda: len(proc.tcp_listeners(port)) == 1, "as many sockets as workers")


def set_sharing(one, sharing, **program):
    config = json.loads(json.dumps(one.config))
    config["sockets"]["echo"]["sharing"] = sharing
    config["programs"]["echo"].update(program)
    one.write(config)


def wait_sockets(port, number):
    proc.wait_until(lambda: len(proc.tcp_listeners(port)) == number, f"{number} sockets listen")


@pytest.mark.limit(150)
@pytest.mark.parametrize("order", ["drain-first", "ready-first"])
def test_sharing_changes_under_load(master, directory, port, order):
    """To a group and back again: the first socket stays, and nobody who waits at another one is lost."""
    one = master(echo(port, reload={"order": order}))
    (first, *_) = inodes(one)
    with Load(directory, f"127.0.0.1:{port}", 1500, 50, who_rate=200) as load:
        for _ in range(2):
            set_sharing(one, "shared")
            one.expect_reload("committed")
            assert set(inodes(one)) == {first}
            one.wait_drained()
            wait_sockets(port, 1)
            set_sharing(one, "per_worker")
            one.expect_reload("committed")
            sockets = inodes(one)
            assert sockets[0] == first and len(set(sockets)) == 4
            one.wait_drained()
        load.flow(0.2)
    assert sorted(inodes(one)) == sorted(proc.tcp_listeners(port))
    with Load(directory, f"127.0.0.1:{port}", 0, 0, who_rate=2000, name="after") as load:
        load.flow(1)
    counts = load.served_by("slot")
    assert len(counts) == 4, "all of the group are chosen"


@pytest.mark.limit(60)
def test_group_of_one(master, directory, port):
    """From one shared socket to a group of one, and on to two: nothing to warn of, and the second is chosen, too."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1, command=[BINARIES.tcp_echo, "--who"]))
    for workers, sharing in [(1, "per_worker"), (1, "shared"), (1, "per_worker"), (2, "per_worker")]:
        one.programs["echo"]["workers"] = workers
        set_sharing(one, sharing)
        one.expect_reload("committed")
        one.wait_drained()
    with Load(directory, f"127.0.0.1:{port}", 0, 0, who_rate=500) as load:
        load.flow(0.5)
    assert set(load.served_by("slot")) == {"0", "1"}
    assert not one.log.find("cannot be steered")


BAD_THIRD = ["sh", "-c", f'[ "$RELOADER_SLOT" = 2 ] && exit 7; exec "{BINARIES.tcp_echo}" --who']


@pytest.mark.limit(150)
@pytest.mark.parametrize("before, after", [("shared", "per_worker"), ("per_worker", "shared")])
def test_change_of_sharing_that_fails_under_load(master, directory, port, before, after):
    """The third of four does not start: all is as it was, the other way of sharing included."""
    config = echo(port)
    config["sockets"]["echo"]["sharing"] = before
    one = master(config)
    one.hup()
    one.wait_drained()
    sockets, fds = inodes(one), one.descriptors()
    with Load(directory, f"127.0.0.1:{port}", 1500, 50, who_rate=200) as load:
        set_sharing(one, after, command=BAD_THIRD)
        one.expect_reload("rolled_back")
        one.wait_drained()
        assert inodes(one) == sockets
        wait_sockets(port, len(set(sockets)))
        one.write(config)
        one.expect_reload("committed")
        one.wait_drained()
        load.flow(0.2)
    assert inodes(one) == sockets and one.descriptors() == fds


def test_group_of_one_that_fails_to_grow_under_load(master, directory, port):
    """Its first socket was bound alone, so that the kernel has no group before the second one is there: nobody waits in that."""
    config = echo(port, workers=1)
    config["sockets"]["echo"]["sharing"] = "shared"
    one = master(config)
    sockets = inodes(one)
    with Load(directory, f"127.0.0.1:{port}", 1500, 50, who_rate=200) as load:
        for _ in range(5):
            set_sharing(one, "per_worker")
            one.expect_reload("committed")
            set_sharing(one, "per_worker", workers=4, command=BAD_THIRD)
            one.expect_reload("rolled_back")
            one.write(config)
            one.expect_reload("committed")
            one.wait_drained()
        load.flow(0.2)
    assert inodes(one) == sockets


@pytest.mark.limit(120)
def test_changes_of_sharing_supersede_each_other_under_load(master, directory, port):
    """Workers that are left behind by them have sockets that no configuration has any more: nobody who waits there is lost."""
    one = master(echo(port, max_draining=100, workers=6, reload={"order": "ready-first", "max_surge": 6}))
    with Load(directory, f"127.0.0.1:{port}", 3000, 0) as load:
        for number in range(1, 100):
            set_sharing(one, ["shared", "per_worker"][number % 2])
            one.kill(signal.SIGHUP)
            load.flow(0.005 + number % 10 / 200)
        set_sharing(one, "shared")
        one.expect_reload("committed")
        wait_sockets(port, 1)
