"""Sockets are bound once and held; seen from outside."""
import os
import re
import signal
import socket
import stat

import pytest

from harness import Load, configs, isolation, proc


@pytest.mark.limit(90)
def test_one_bind_per_address_and_no_accept(master, directory, port):
    """strace of the master alone, over three reloads under load."""
    trace = directory / "trace"
    config = configs.echo(f"127.0.0.1:{port}", workers=2)
    config["sockets"]["more"] = {"listen": f"unix:{directory}/more.sock"}
    config["programs"]["echo"]["sockets"] = ["echo", "more"]
    # Without -f: the workers, made by clone, are not traced.
    # Who is traced can't look for leaks.
    one = master(config, wrapper=["strace", "-o", trace, "-e", "trace=bind,listen,accept,accept4", "-e", "signal=none"], ready=False,
                 environment={"ASAN_OPTIONS": "detect_leaks=0"})
    one.pid = one.wait(lambda status: status["master"]["pid"], "the master's pid")["master"]["pid"]
    one.wait_ready()
    inodes = {*proc.tcp_listeners(port), *proc.unix_listeners(directory / "more.sock")}
    ours = [fd for fd, what in proc.fds(one.pid).items() if what in {f"socket:[{inode}]" for inode in inodes}]
    assert len(ours) == 2
    with Load(directory, f"127.0.0.1:{port}", 200, 10):
        for _ in range(3):
            one.expect_reload("committed")
    os.kill(one.pid, 15)
    one.wait_end()
    calls = trace.read_text().splitlines()
    assert len([call for call in calls if f"htons({port})" in call and call.startswith("bind")]) == 1
    assert len([call for call in calls if "more.sock" in call and call.startswith("bind")]) == 1
    for call in calls:
        if call.startswith("accept"):
            # From its control socket, that is; never from the sockets of its workers.
            assert int(re.match(r"accept4?\((\d+)", call)[1]) not in ours, call


def test_master_never_accepts_for_workers(master, directory, port):
    """With the only worker stopped, a connection stays in the queue: nobody else takes it."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1))
    (worker,) = one.pids()
    os.kill(worker, 19)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"hello\n")
        listener = one.status()["listeners"][0]
        assert listener["queue"] >= 1 and listener["inode"] == proc.tcp_listeners(port)[0]
        os.kill(worker, 18)
        assert client.recv(100) == b"hello\n"


def test_stale_unix_socket_is_replaced(master, directory):
    path = directory / "stale.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
        old.listen()
    one = master(configs.echo(f"unix:{path}", workers=1))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    one.stop()
    assert not path.exists(), "its own file goes with it"


def test_foreign_file_is_left_alone(master, directory):
    """Somebody put another socket there meanwhile: it is not ours to remove."""
    path = directory / "moved.sock"
    one = master(configs.echo(f"unix:{path}", workers=1))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        one.stop()
        assert path.exists()


def test_unix_mode(master, directory):
    config = configs.echo(f"unix:{directory}/m.sock", workers=1)
    config["sockets"]["echo"]["mode"] = "0640"
    master(config)
    assert stat.S_IMODE(os.stat(directory / "m.sock").st_mode) == 0o640


def test_one_socket_per_slot(master, directory):
    base = isolation.free_port() // 100 * 100
    config = configs.echo(f"127.0.0.1:{str(base)[:-2]}%(process_num)02d", workers=3)
    one = master(config)
    inodes = [proc.tcp_listeners(base + slot) for slot in range(3)]
    assert all(len(found) == 1 for found in inodes)
    assert [proc.socket_inode(pid, 3) for pid in one.pids()] == [found[0] for found in inodes]
    one.hup()
    assert [proc.socket_inode(pid, 3) for pid in one.pids()] == [found[0] for found in inodes]
    one.programs["echo"]["workers"] = 4
    one.write()
    one.hup()
    assert len(proc.tcp_listeners(base + 3)) == 1
    one.programs["echo"]["workers"] = 2
    one.write()
    one.hup()
    one.wait_drained()
    proc.wait_until(lambda: not proc.tcp_listeners(base + 2), "slot 2's socket is closed")
    assert [proc.tcp_listeners(base + slot) for slot in range(2)] == inodes[:2]


@pytest.mark.key("sockets.NAME.ipv6_only")
def test_ipv6_only(master, directory, port):
    """Without it, one [::] socket serves both families."""
    config = configs.echo(f"[::]:{port}", workers=1)
    one = master(config)
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    one.stop()
    config = configs.echo(f"[::]:{port}", workers=1)
    config["sockets"]["echo"]["ipv6_only"] = True
    master(config)
    socket.create_connection(("::1", port), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_short_forms(master, directory, port):
    """A port alone is every address."""
    one = master(configs.echo(port, workers=1))
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    assert one.status()["listeners"][0]["address"]


def test_backlog(master, directory, port):
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["sockets"]["echo"]["backlog"] = 17
    one = master(config)
    assert one.status()["listeners"][0]["backlog"] == 17


def test_listeners_close_with_the_shutdown(master, directory, port):
    """At the start of a shutdown the master closes its own; when all workers are gone, so is the socket."""
    one = master(configs.echo(f"127.0.0.1:{port}"))
    one.stop()
    assert not proc.tcp_listeners(port)


@pytest.mark.sanitized
def test_refused_growth_leaves_the_running_reload_its_sockets(master):
    """One socket per slot: a reload to 20 workers is refused (a port is taken) while one to 4 rolls; its workers keep theirs."""
    config = configs.echo("127.0.0.1:100%(process_num)02d", workers=2, backoff={"initial": "10ms", "max": "10ms"}, start_seconds="0s",
                          reload={"probation": "0s"}, start_timeout="10m")
    one = master(config)
    echo = config["programs"]["echo"]
    # Slot 0 of the new generation is never ready, so the reload goes on until the next one.
    echo.update(workers=4, reload={"canary": False, "max_unavailable": 1},
                command=["/bin/sh", "-c", f"[ $RELOADER_SLOT = 0 ] && exec sleep 600; exec {echo['command'][0]}"])
    one.write()
    one.kill(signal.SIGHUP)
    one.wait(lambda status: [slot["state"].lower() for slot in one.slots(status=status)][2:] == ["ready"] * 2, "slots 2 and 3 are ready")
    with socket.create_server(("127.0.0.1", 10012)):
        echo["workers"] = 20
        one.write()
        one.kill(signal.SIGHUP)
        one.wait_line("127.0.0.1:10012: address in use")
    pid = one.slots()[3]["workers"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    one.wait(lambda status: any(worker["pid"] != pid and worker["state"].lower() == "ready"
                                for slot in one.slots(status=status)[3:] for worker in slot["workers"]), "slot 3 is ready again")
    socket.create_connection(("127.0.0.1", 10003), timeout=5).close()
    one.kill(signal.SIGQUIT)
    one.wait_end()
