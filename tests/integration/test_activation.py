"""Sockets that somebody else bound: systemd's, and descriptors named by number."""
import os
import signal
import socket
import stat
import subprocess

import pytest

from harness import BINARIES, Load, configs, proc
from harness.activation import activated, listen
from harness.isolation import free_port
from harness.master import Master
from harness.paths import PYTHON, WORKERS


def inode(one):
    return os.fstat(one.fileno()).st_ino


def backlog(port):
    """The limit that ss shows for the listener on a port."""
    rows = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout.splitlines()
    (row,) = rows
    return int(row.split()[2])


def listeners(one):
    return {listener["name"]: listener for listener in one.status()["listeners"]}


def ping(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(20)
        client.connect(address)
        client.sendall(b"hello\n")
        assert client.recv(6) == b"hello\n"


def refused(directory, config, said, **options):
    """The start fails with a line that matches, and with the code 1."""
    one = Master(directory, config, **options)
    one.wait_line(said)
    one.wait_end(1)
    return one


@pytest.mark.sanitized
def test_by_name_under_reloads(master, directory, port):
    """Workers get systemd's socket, keep it over reloads, and nobody listens to it in their place; it stays after the end."""
    with listen(("127.0.0.1", port)) as ours:
        one = master(configs.echo(f"127.0.0.1:{port}"), **activated(("echo", ours)))
        one.wait_line(rf"echo: taken over from systemd, 127\.0\.0\.1:{port}")
        with Load(directory, f"127.0.0.1:{port}", 200, 20):
            for _ in range(3):
                one.hup()
            one.wait_drained()
        for pid in (one.pid, *one.pids()):
            assert f"socket:[{inode(ours)}]" in proc.fds(pid).values()
        assert proc.tcp_listeners(port) == [inode(ours)]
        assert listeners(one)["echo"]["inode"] == inode(ours) and listeners(one)["echo"]["taken_over"]
        assert f"127.0.0.1:{port} (taken over)" in one.ctl("status", code=0).stdout
        one.stop()
        # Nobody serves it, and nobody is refused: the next start will.
        waiting = socket.create_connection(("127.0.0.1", port), 20)
        waiting.sendall(b"hello\n")
        again = master(configs.echo(f"127.0.0.1:{port}"), **activated(("echo", ours)))
        waiting.settimeout(20)
        assert waiting.recv(6) == b"hello\n"
        waiting.close()
        again.stop()


def test_workers_get_variables_of_their_own(master, directory, port):
    """LISTEN_PID and LISTEN_FDNAMES are the worker's, nothing of the master's is left."""
    record = directory / "record"
    config = configs.recorders(record, workers=1, listen=f"127.0.0.1:{port}")
    with listen(("127.0.0.1", port)) as ours:
        one = master(config, **activated(("rec", ours)), environment={"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
        environment = proc.environment(one.pids()[0])
        assert environment["LISTEN_PID"] == str(one.pids()[0])
        assert environment["LISTEN_FDS"] == "1" and environment["LISTEN_FDNAMES"] == "rec"
        assert not {"WATCHDOG_USEC", "WATCHDOG_PID"} & set(environment)
        one.stop()


def test_by_address(master, port):
    """Whatever its name: it is what the configuration would bind."""
    with listen(("127.0.0.1", port)) as ours:
        one = master(configs.echo(f"127.0.0.1:{port}", workers=1), **activated(("reloader.socket", ours)))
        assert listeners(one)["echo"]["inode"] == inode(ours)
        ping(("127.0.0.1", port))


def test_two_of_the_same_name(master, port):
    """Two ListenStream= of one .socket unit carry the same name."""
    other = free_port()
    config = {"programs": {name: {"command": [BINARIES.tcp_echo], "listen": f"127.0.0.1:{number}", "environment": configs.WORKER_ENVIRONMENT}
                           for name, number in (("a", port), ("b", other))}}
    with listen(("127.0.0.1", other)) as second, listen(("127.0.0.1", port)) as first:
        one = master(config, **activated(("reloader.socket", second), ("reloader.socket", first)))
        found = listeners(one)
        assert found["a"]["inode"] == inode(first) and found["b"]["inode"] == inode(second)


def test_by_name_from_another_address(master, port):
    with listen(("127.0.0.1", port)) as ours:
        one = master(configs.echo("127.0.0.1:1", workers=1), **activated(("echo", ours)))
        one.wait_line(rf"warning echo: systemd passed 127\.0\.0\.1:{port} under this name, but 'listen' says 127\.0\.0\.1:1:")
        ping(("127.0.0.1", port))
        one.hup()


def test_dual_stack_for_a_port(master, port):
    """ListenStream=8080 is [::]:8080 for both families, and serves `listen: 8080`."""
    with listen(("::", port), family=socket.AF_INET6, dual=True) as ours:
        one = master(configs.echo(port, workers=1), **activated(("reloader.socket", ours)))
        assert listeners(one)["echo"]["address"] == f"[::]:{port}"
        ping(("127.0.0.1", port))
        assert not one.log.find("warning")


def test_unclaimed(directory, port):
    """Each is named, with what to do; those that are claimed are not."""
    other = free_port()
    with listen(("127.0.0.1", port)) as ours, listen(("127.0.0.1", other)) as theirs, listen(str(directory / "x")) as third:
        one = refused(directory, configs.echo(f"127.0.0.1:{port}", workers=1),
                      rf"error .*'admin' \(descriptor 4, 127\.0\.0\.1:{other}\), 'x' \(descriptor 5, unix:{directory}/x\); "
                      r"add them, as in sockets: {admin: {listen: .*}}, or remove their ListenStream=",
                      **activated(("echo", ours), ("admin", theirs), ("x", third)))
        assert not one.log.find("'echo'")


def test_not_listening(directory, port):
    with socket.socket() as unbound:
        refused(directory, configs.echo(f"127.0.0.1:{port}"), r"descriptor 3 \('echo'\), but it is a connection or does not listen",
                **activated(("echo", unbound)))


def test_per_worker(directory, port):
    """One socket for each slot cannot be had from one that was passed."""
    config = configs.echo(f"127.0.0.1:{port}", workers=2)
    config["sockets"]["echo"]["sharing"] = "per_worker"
    with listen(("127.0.0.1", port)) as ours:
        refused(directory, config, r"error sockets\.echo: sharing: per_worker needs a socket for each slot", **activated(("echo", ours)))


def test_variables_of_somebody_else(master, port):
    """A shell in between: what it was passed is not for us, and that is said."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1), environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert one.log.find("LISTEN_FDS is not for this process, but for pid 1")


def test_path_survives(master, directory):
    """The file of a Unix socket that was passed is systemd's: never removed, its mode left alone."""
    path = directory / "echo.sock"
    with listen(str(path)) as ours:
        path.chmod(0o640)
        one = master(configs.echo(f"unix:{path}", workers=1), **activated(("echo", ours)))
        ping(str(path))
        one.hup()
        one.stop()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert proc.unix_listeners(path) == [inode(ours)]


@pytest.mark.parametrize("given,expected", [(None, 77), (50, 50)], ids=["kept", "given"])
def test_backlog(master, port, given, expected):
    """As systemd set it, unless ours is given."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    if given:
        config["sockets"]["echo"]["backlog"] = given
    with listen(("127.0.0.1", port), backlog=77) as ours:
        one = master(config, **activated(("echo", ours)))
        one.hup()
        assert backlog(port) == expected


def test_backlog_is_restored(master, directory, port):
    """A worker that calls listen() with a small number shrinks it for all: not for long."""
    script = ("import os, socket, signal; s = socket.socket(fileno=3); s.listen(5); "
              "os.write(int(os.environ['RELOADER_CHANNEL_FD']), b'\"ready\"\\n'); signal.pause()")
    config = {"programs": {"small": {"command": [PYTHON, "-S", "-c", script], "listen": f"127.0.0.1:{port}", "ready": "message"}}}
    with listen(("127.0.0.1", port), backlog=77) as ours:
        one = master(config, **activated(("small", ours)))
        proc.wait_until(lambda: backlog(port) == 77, "the backlog is as it was")
        assert one.pids()


@pytest.mark.parametrize("nonblocking", [False, True])
def test_blocking_as_configured(master, port, nonblocking):
    config = configs.echo(f"127.0.0.1:{port}", workers=1, command=[PYTHON, "-S", "-c", "import signal; signal.pause()"])
    config["programs"]["echo"].update(start_seconds="50ms", drain="signal")
    config["sockets"]["echo"]["nonblocking"] = nonblocking
    with listen(("127.0.0.1", port)) as ours:
        ours.setblocking(nonblocking)  # the other way round
        master(config, **activated(("echo", ours)))
        assert os.get_blocking(ours.fileno()) is not nonblocking


def test_slots_by_address(master, port):
    """One socket per slot: each slot gets its own, wherever it stands; one that was not passed is bound; fewer and more workers."""
    config = configs.echo(f"127.0.0.1:{port // 10}%(process_num)s", workers=3)
    config["programs"]["echo"]["numprocs_start"] = 1
    numbers = [port // 10 * 10 + i for i in (1, 2, 3)]
    with listen(("127.0.0.1", numbers[2])) as third, listen(("127.0.0.1", numbers[0])) as first:
        one = master(config, **activated(("echo", third), ("echo", first)))
        held = [proc.socket_inode(pid, 3) for pid in one.pids()]
        assert held[0] == inode(first) and held[2] == inode(third)
        assert held[1] == proc.tcp_listeners(numbers[1])[0]
        assert [listener["taken_over"] for listener in one.status()["listeners"]] == [True, False, True]
        for workers in (1, 3):
            one.programs["echo"]["workers"] = workers
            one.write()
            one.hup()
        assert [proc.socket_inode(pid, 3) for pid in one.pids()][::2] == [inode(first), inode(third)]


def test_daemon(directory, port):
    """-d forks: the sockets were passed to the process that was started, and go on with the one that stays."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["pid_file"] = str(directory / "pid")
    config["log"] = {"file": str(directory / "daemon.log")}
    with listen(("127.0.0.1", port)) as ours:
        one = Master(directory, config, arguments=["-d"], **activated(("echo", ours)))
        assert one.process.wait(30) == 0, one.log.text()
        pid = int((directory / "pid").read_text())
        ping(("127.0.0.1", port))
        assert proc.tcp_listeners(port) == [inode(ours)]
        os.kill(pid, signal.SIGTERM)
        proc.wait_gone(pid)


def test_check_ignores_what_was_passed(directory, port):
    path = directory / "check.yaml"
    path.write_text("programs: {a: {command: [sleep, '1'], listen: 'fd:9'}}")
    with listen(("127.0.0.1", port)) as ours:
        options = activated(("nobody", ours))
        done = subprocess.run([*options["wrapper"], BINARIES.reloader, "-t", path], pass_fds=options["pass_fds"], capture_output=True,
                              text=True, timeout=20, check=False)
        assert done.returncode == 0, done


UDP = [PYTHON, "-S", str(WORKERS / "udp.py")]


def ask(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.sendto(b"hello", ("127.0.0.1", port))
        return client.recv(1000)


@pytest.mark.parametrize("how", ["name", "address", "number"])
def test_udp(master, port, how):
    """ListenDatagram=, and a descriptor; beside a TCP socket of the same port and, where it has one, the same name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours, listen(("127.0.0.1", port)) as tcp:
        ours.bind(("127.0.0.1", port))
        name = "dns" if how == "name" else "reloader.socket"
        config = configs.echo(f"127.0.0.1:{port}", workers=1)
        config["programs"]["dns"] = {"command": UDP, "ready": "message",
                                     "listen": "fd:4" if how == "number" else f"udp:127.0.0.1:{port}"}
        one = master(config, **activated((name, tcp), (name, ours)))
        assert listeners(one)["dns"]["inode"] == inode(ours) and listeners(one)["echo"]["inode"] == inode(tcp)
        one.hup()
        assert ask(port).endswith(b"\nhello")
        ping(("127.0.0.1", port))


# --- listen: fd:N

def test_descriptor(master, port):
    with listen(("127.0.0.1", port)) as ours:
        number = ours.fileno()
        one = master(configs.echo(f"fd:{number}", workers=2), pass_fds=[number])
        one.wait_line(rf"echo: taken over, descriptor {number}, 127\.0\.0\.1:{port}")
        assert listeners(one)["echo"]["address"] == f"127.0.0.1:{port}"
        one.hup()
        ping(("127.0.0.1", port))
        assert proc.tcp_listeners(port) == [inode(ours)]
        for pid in one.pids():
            assert list(proc.fds(pid).values()).count(f"socket:[{inode(ours)}]") == 1, "just where it belongs"


@pytest.mark.parametrize("arguments", [[], ["-d"]], ids=["foreground", "daemon"])
def test_standard_input(directory, port, arguments):
    """As inetd passes it. Neither the daemon's redirections nor the workers' stdin are in its way."""
    config = configs.echo("fd:0", workers=1)
    config["pid_file"] = str(directory / "pid")
    with listen(("127.0.0.1", port)) as ours:
        one = Master(directory, config, arguments=[*arguments, "-l", directory / "my.log"], stdin=ours)
        one.await_socket().close() if not arguments else one.process.wait(30)
        pid = int((directory / "pid").read_text())
        ping(("127.0.0.1", port))
        (worker,) = proc.children(pid)
        assert proc.fds(pid)[0] == proc.fds(worker)[0] == "/dev/null"
        os.kill(pid, signal.SIGTERM)
        proc.wait_gone(pid)
        one.process.wait(20)


@pytest.mark.parametrize("listen_on,said", [
    ("fd:77", r"reloader\.yaml:3:3: socket 'echo': listen: descriptor 77 is not open: whoever starts reloader has to pass it"),
    ("fd:0", r"socket 'echo': listen: descriptor 0 is no socket"),
])
def test_descriptor_that_is_none(directory, listen_on, said):
    refused(directory, configs.echo(listen_on), said)


def test_descriptor_of_systemd(master, port):
    """By its number it is claimed as well."""
    with listen(("127.0.0.1", port)) as ours:
        one = master(configs.echo("fd:3", workers=1), **activated(("whatever", ours)))
        assert listeners(one)["echo"]["inode"] == inode(ours)
