"""What status tells that processes use, beside what /proc says of them; and what it does not tell because it cannot know."""
import contextlib
import json
import os
import signal
import socket
import subprocess

import pytest

from harness import BINARIES, configs, proc

TICK = os.sysconf("SC_CLK_TCK")
BUSY = ["/usr/bin/python3", "-S", "-c", "while True: pass"]
CPU = ("cpu", "cpu_usec")
OURS = {*CPU, "start_usec", "memory", "fds"}
OF_A_WORKER = {*OURS, "uptime_usec", "connections"}


def numbers(one, *options, through=(), codes=(0,), **how):
    """Status as reloaderctl prints it: (of the master, of each worker in order)."""
    done = subprocess.run([*through, BINARIES.reloaderctl, "-s", str(one.socket), "status", "--json", *options], check=False, timeout=60,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, **how)
    assert done.returncode in codes, done
    status = json.loads(done.stdout)
    return status["master"], one.workers(status=status)


def cpu_usec(pid):
    fields = proc.stat(pid)
    return (int(fields[11]) + int(fields[12])) * 1_000_000 // TICK


def memory(pid):
    return int(proc.read(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pss(pid):
    for line in proc.read(pid, "smaps_rollup").decode().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise KeyError("Pss")


def check(seen, pid):
    """Of a process that rests but for its CPU time."""
    assert seen["pid"] == pid
    assert seen["fds"] == len(proc.fds(pid))
    assert seen["start_usec"] == int(proc.stat(pid)[19]) * 1_000_000 // TICK
    assert abs(seen["memory"] - memory(pid)) <= 512 << 10, "pages of a process at rest hardly change"
    assert seen["cpu"] == pytest.approx(100 * seen["cpu_usec"] / seen["uptime_usec"], rel=0.05, abs=0.02)


def test_what_proc_says(master, port):
    one = master({**configs.echo(port, workers=2), "programs": {
        **configs.echo(port, workers=2)["programs"], "busy": {"command": BUSY, "start_seconds": "50ms"}}})
    pids = [*one.pids("echo"), *one.pids("busy")]
    proc.wait_until(lambda: cpu_usec(pids[2]) > 500_000, "it was busy")
    before = list(map(cpu_usec, pids))
    own, workers = numbers(one)
    after = list(map(cpu_usec, pids))
    for seen, pid, least, most in zip(workers, pids, before, after):
        assert OF_A_WORKER <= set(seen) and "pss" not in seen
        check(seen, pid)
        assert least <= seen["cpu_usec"] <= most
    assert workers[2]["cpu"] > workers[0]["cpu"]
    assert OURS <= set(own) and own["pid"] == one.pid and "connections" not in own
    assert own["start_usec"] == int(proc.stat(one.pid)[19]) * 1_000_000 // TICK
    assert own["loop_delay"] >= 0


def test_pss(master, port):
    """Four of the same kind share most of their pages: of which each has a part alone."""
    one = master(configs.echo(port))
    own, workers = numbers(one, "--pss")
    for seen in (own, *workers):
        assert seen["pss"] < seen["memory"]
    for seen in workers:
        assert seen["pss"] == pytest.approx(pss(seen["pid"]), rel=0.5)
    text = one.ctl("status", "--pss", code=0).stdout
    assert " PSS " in text and " MEMORY " not in text


def counts(one):
    return [worker["connections"] for worker in numbers(one)[1]]


def connect(family, address):
    """Accepted for certain: it was answered."""
    client = socket.socket(family)
    client.settimeout(30)
    client.connect(address)
    client.sendall(b"hello\n")
    assert client.recv(100) == b"hello\n"
    return client


def test_connections(master, directory, port):
    """Open ones alone, whoever accepted them, over TCP, IPv4 within IPv6, and a Unix socket; not those that are still in the queue."""
    path = str(directory / "e.sock")
    config = configs.echo(f"127.0.0.1:{port}", workers=3, disconnect_timeout="50s", reload={"max_unavailable": "100%"})
    config["sockets"]["six"] = {"listen": f"[::]:{port + 1}", "ipv6_only": False}
    config["sockets"]["local"] = {"listen": f"unix:{path}"}
    config["programs"]["echo"]["sockets"] = ["echo", "six", "local"]
    one = master(config)
    assert counts(one) == [0, 0, 0]
    with contextlib.ExitStack() as stack:
        for n in range(5):
            stack.enter_context(connect(socket.AF_INET, ("127.0.0.1", port)))
            stack.enter_context(connect(socket.AF_INET, ("127.0.0.1", port + 1)))
            stack.enter_context(connect(socket.AF_INET6, ("::1", port + 1)))
            stack.enter_context(connect(socket.AF_UNIX, path))
        assert sum(counts(one)) == 20
        extra = connect(socket.AF_UNIX, path)
        assert sum(counts(one)) == 21
        extra.close()
        proc.wait_until(lambda: sum(counts(one)) == 20, "one client less")
        for pid in one.pids():
            os.kill(pid, signal.SIGSTOP)
        waiting = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert sum(counts(one)) == 20 and numbers(one)[1]
        for pid in one.pids():
            os.kill(pid, signal.SIGCONT)
        waiting.settimeout(30)
        waiting.sendall(b"hello\n")
        assert waiting.recv(100) == b"hello\n"
        assert sum(counts(one)) == 21
        # Workers that drain have their lines, and their connections.
        one.ctl("reload", "--no-wait", code=0)
        one.wait(lambda status: "READY" not in [worker["state"] for worker in one.workers(status=status) if worker["generation"] == 1],
                 "all were told")
        old = [worker for worker in numbers(one, codes=(0, 4))[1] if worker["generation"] == 1]
        assert sum(worker["connections"] for worker in old) == 21
    one.wait(lambda status: [worker["generation"] for worker in one.workers(status=status)] == [2, 2, 2], "all clients have left")
    one.wait_ready()
    assert counts(one) == [0, 0, 0]


def test_one_that_is_stopped(master):
    one = master({"programs": {"quiet": {"command": ["sleep", "1000"], "start_seconds": 0, "workers": 2}}})
    one.ctl("stop", "quiet:1", code=0)
    lines = one.ctl("status", code=0).stdout.splitlines()
    (stopped,) = [line.split() for line in lines if line.lstrip().startswith("quiet/1")]
    assert stopped == ["quiet/1", "-", "-", "STOPPED", "0"]


@pytest.mark.root
def test_what_a_stranger_may_read(master, port):
    """A member of control.group that is not root sees what /proc shows to everybody, and '-' for the rest."""
    config = configs.echo(port, workers=1)
    config["control"] = {"mode": "0666", "group": "daemon"}
    one = master(config)
    stranger = {"user": 65534, "group": 65534, "extra_groups": [1]}
    _, (seen,) = numbers(one, "--pss", **stranger)
    check({**seen, "fds": len(proc.fds(seen["pid"]))}, one.pids()[0])
    assert not {"fds", "connections", "pss"} & set(seen)
    out = subprocess.run([BINARIES.reloaderctl, "-s", str(one.socket), "status"], check=True, capture_output=True, text=True, **stranger).stdout
    (row,) = [line.split() for line in out.splitlines() if line.lstrip().startswith("echo/0")]
    assert row[-3].endswith("%") and row[-2].endswith("M") and row[-1] == "-", out


@pytest.mark.root
def test_from_other_namespaces(master, port):
    """There, the same pids are other processes, and the same inodes other sockets: nothing is better than something wrong."""
    one = master(configs.echo(port, workers=1))
    own, (seen,) = numbers(one, through=["unshare", "--pid", "--fork"])
    assert not OURS & {*own, *seen}
    own, (seen,) = numbers(one, through=["unshare", "--net"])
    assert OURS <= set(seen) and "connections" not in seen


def test_drops(master, directory, port):
    """Clients for whom there was no room; of one listener and not of the other."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1, socket={"backlog": 2})
    config["sockets"]["other"] = {"listen": f"127.0.0.1:{port + 1}"}
    config["sockets"]["local"] = {"listen": f"unix:{directory}/l.sock"}
    config["programs"]["echo"]["sockets"] = ["echo", "other", "local"]
    one = master(config)

    def drops():
        return {entry["name"]: entry.get("drops") for entry in one.status()["listeners"]}

    assert drops() == {"echo": 0, "other": 0, "local": None}
    (worker,) = one.pids()
    os.kill(worker, signal.SIGSTOP)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        proc.wait_until(lambda: drops()["echo"] > 0, "no room for some")
        row = one.ctl("status", code=0).stdout.split("LISTENER")[1].splitlines()[1].split()
        assert row[0] == "echo" and int(row[-1]) > 0
        assert drops()["other"] == 0
    os.kill(worker, signal.SIGCONT)
