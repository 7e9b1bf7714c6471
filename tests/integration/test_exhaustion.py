"""The master out of descriptors, processes or space: it says so, its workers serve on, and it recovers by itself."""
import errno
import json
import os
import re
import resource
import signal
import socket
import subprocess

import pytest

from harness import BINARIES, Load, configs, health, isolation, proc
from harness.isolation import CLONE_NEWNS, LIBC, MS_PRIVATE, MS_REC, check
from harness.master import Master, state

# A user that nobody else on this machine is: RLIMIT_NPROC counts all processes of a user.
LONELY = 54321
AS_LONELY = ["setpriv", f"--reuid={LONELY}", f"--regid={LONELY}", "--clear-groups"]


# ---- descriptors

BALLAST = 20
SOCKETS = 40  # of each of two programs that never start: with so many descriptors there is room for that many clients


def few(port, directory, **program):
    config = configs.echo(f"127.0.0.1:{port}", limits={"nofile": 90}, **program)
    for never in ("never", "either"):
        names = [f"{never}{i}" for i in range(SOCKETS)]
        config["sockets"] |= {name: {"listen": f"unix:{directory}/{name}"} for name in names}
        config["programs"][never] = {"command": ["sleep", "1"], "autostart": False, "sockets": names}
    return config


class Scarcity:
    """
    Leaves a running master `spare` more descriptors, until the end of the with-block: many are taken by clients then, and a hard
    limit, which can only go down, does the rest.
    """

    def __init__(self, one, spare):
        self.one = one
        self.clients = [one.connect() for _ in range(BALLAST)]
        for client in self.clients:
            client.call("Version")
        used = set(proc.fds(one.pid))
        limit = next(n for n in range(1000) if len(set(range(n + 1)) - used) == spare + 1)
        limit = min(limit, resource.prlimit(one.pid, resource.RLIMIT_NOFILE)[1])
        resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (limit, limit))

    def __enter__(self):
        return self.clients

    def __exit__(self, *_):
        self.end()

    def end(self):
        while self.clients:
            self.clients.pop().close()
        proc.wait_until(lambda: len(proc.unix_connections(self.one.socket)) <= 1, "all have left")


@pytest.mark.sanitized
def test_reload_without_descriptors(master, directory, port):
    """Whatever descriptor is the one too many: the reload fails with that reason, nobody notices, the next one works."""
    one = master(few(port, directory))
    one.expect_reload("committed")
    one.wait_drained()
    before, results = one.descriptors(), []
    with Load(directory, f"127.0.0.1:{port}", 500, 20):
        for spare in reversed(range(BALLAST)):
            pids = one.pids()
            with Scarcity(one, spare) as clients:
                reply = list(clients[0].stream("Reload"))[-1]
            results.append(reply["result"])
            if reply["result"] != "committed":
                assert "Too many open files" in reply["reason"], reply
                assert one.pids() == pids
                one.expect_reload("committed")
            one.wait_drained()
    assert results[0] == "committed" and "rolled_back" in results and results[-1] == "refused", results
    assert one.descriptors() == before


def test_reload_with_a_lower_limit(master, port):
    """Lowered from outside, for good: workers get what is left of theirs. Who may raise limits gives them their own."""
    one = master(configs.echo(f"127.0.0.1:{port}"))
    own = proc.limit(one.pids()[0], "Max open files")
    limit = max(proc.fds(one.pid)) + 50
    resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (limit, limit))
    one.expect_reload("committed")
    assert {proc.limit(pid, "Max open files") for pid in one.pids()} in ({(str(limit), str(limit))}, {own})


@pytest.mark.sanitized
def test_way_back_without_descriptors(master, directory, port):
    """It goes on when there are some again: to give up would leave the new version where that is already."""
    gate = directory / "gate"
    os.mkfifo(gate)
    script = f'[ "$RELOADER_GENERATION.$RELOADER_SLOT" = 2.0 ] && read line < {gate}; exec {BINARIES.tcp_echo}'
    one = master(configs.echo(f"127.0.0.1:{port}", command=["sh", "-c", script], ready="message"))
    limit = resource.prlimit(one.pid, resource.RLIMIT_NOFILE)
    with Load(directory, f"127.0.0.1:{port}", 500, 20), one.connect() as client:
        client.send("Reload", more=True)
        with open(gate, "w", encoding="ascii") as canary:
            one.wait(lambda status: len(one.workers(status=status)) == 5, "the canary is there")
            resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (3, limit[1]))
            canary.write("go\n")
        one.wait_line("reload 1 failed, going back to the old generation: .*Too many open files")
        back = len(one.log.read())
        one.wait_line("echo/[0-3]: .*Too many open files", start=back, times=2)
        resource.prlimit(one.pid, resource.RLIMIT_NOFILE, limit)
        while (reply := client.receive()).get("continues"):
            pass
        assert reply["parameters"]["result"] == "rolled_back", reply
    one.wait_drained()
    assert [slot["generation"] for slot in one.workers()] == [1] * 4
    one.expect_reload("committed")


def test_control_clients_without_descriptors(master, directory, port):
    """They wait at the door, and are served when there are descriptors again."""
    one = master(few(port, directory))
    one.wait_ready()
    scarcity = Scarcity(one, 0)
    with one.connect() as waiting:
        waiting.send("Version")
        one.wait_line("control: cannot accept clients: Too many open files")
        scarcity.end()
        assert waiting.receive()["parameters"]["version"]
    one.wait_line("control: accepting clients again")


def scarcity_in_backoff(one):
    """Nothing left, from a time on at which the first worker has died and is not back yet."""
    for _ in range(20):
        os.kill(one.pids()[0], signal.SIGKILL)
        one.wait(lambda status: state(one.slots("echo", status)[0]) == "backoff", "it waits for its restart")
        scarcity = Scarcity(one, 0)
        if state(one.slots("echo", scarcity.clients[0].call("Status"))[0]) == "backoff":
            return scarcity
        scarcity.end()
        one.wait(lambda status: all(state(slot) == "ready" for slot in one.slots("echo", status)), "it is back")
    raise one.failure("it came back each time before its descriptors were gone")


def test_crash_without_descriptors(master, directory, port):
    """A worker that dies meanwhile comes back when it can."""
    one = master(few(port, directory, workers=2, backoff={"initial": "1s", "max": "1s"}))
    with scarcity_in_backoff(one):
        one.wait_line("echo/0: .*Too many open files", times=2)
    one.wait(lambda status: all(state(slot) == "ready" for slot in one.slots("echo", status)), "both are back")


def test_ready_of_a_child_without_descriptors(master, directory):
    """Whose word it is has to be known."""
    gate = directory / "gate"
    os.mkfifo(gate)
    says = " ".join(map(str, configs.recorder(directory / "record", "--notify")))
    one = master({"programs": {"web": {"command": ["sh", "-c", f"read line < {gate}; {says} & wait"], "ready": "notify"}}}, ready=False)
    one.wait(lambda status: one.workers(status=status), "it is there")
    with open(gate, "w", encoding="ascii") as child, Scarcity(one, 0):
        child.write("go\n")
        child.flush()
        one.wait_line("web/0: ready after|ignored a datagram")
    assert "ignored a datagram" not in one.log.text()
    one.wait_ready()


def test_checks_without_descriptors(master, directory):
    """What reloader-probe lacks is no fault of the workers."""
    check = {"http": "http://127.0.0.1:%(process_num)s/", "interval": "100ms", "failures": 1}
    one = master(health.patients(directory, "%(process_num)s", numprocs_start=isolation.free_ports(2)[0], health=check))

    def are_well(status):
        return health.conditions(status) == ["healthy"] * 2
    one.wait(are_well, "all are well")
    before = one.pids()
    prober, = (pid for pid in proc.children(one.pid) if proc.field(pid, "Name") == "reloader-probe")
    limit = resource.prlimit(prober, resource.RLIMIT_NOFILE)
    resource.prlimit(prober, resource.RLIMIT_NOFILE, (3, limit[1]))
    one.wait_line("reloader-probe cannot check http:.*: Too many open files|unhealthy", times=2)
    resource.prlimit(prober, resource.RLIMIT_NOFILE, limit)
    assert one.wait(are_well, "all are well") and one.pids() == before
    assert "unhealthy" not in one.log.text()


def test_ready_checks_without_descriptors(master, directory, port):
    """Nobody can tell whether the new version is ready: that is why it does not replace the old one."""
    with socket.create_server(("127.0.0.1", port)):
        one = master(health.patients(directory, workers=1, ready={"tcp": f"127.0.0.1:{port}"}))
        before = one.pids()
        prober, = (pid for pid in proc.children(one.pid) if proc.field(pid, "Name") == "reloader-probe")
        limit = resource.prlimit(prober, resource.RLIMIT_NOFILE)
        resource.prlimit(prober, resource.RLIMIT_NOFILE, (3, limit[1]))
        ward = one.config["programs"]["ward"]
        ward |= {"reload": {"order": "ready-first"}, "start_timeout": "2s"}
        one.write()
        reply = one.expect_reload("rolled_back")
        assert reply["reason"] == f"ward/0 was not ready within 2.0 s (start_timeout), 127.0.0.1:{port} cannot be checked: Too many open files"
        assert one.pids() == before
        resource.prlimit(prober, resource.RLIMIT_NOFILE, limit)
        del ward["start_timeout"]
        one.write()
        one.expect_reload("committed")


def test_watch_without_descriptors(master, directory):
    """What came meanwhile is looked into later."""
    lib, release = directory / "app" / "lib", directory / "release"
    lib.mkdir(parents=True)
    (release / "deep").mkdir(parents=True)
    (release / "deep" / "file").touch()
    one = master({"programs": {"web": {"command": ["sleep", "infinity"], "start_seconds": "10ms", "directory": str(lib.parent), "watch": ["lib/"],
                                       "reload_delay": "200ms"}}})
    with Scarcity(one, 0):
        release.rename(lib / "release")
        one.wait_line(f"web: watch: cannot watch '{lib}/release': Too many open files")
    one.wait_line(f"web: watch: {lib}/release/deep/file changed")
    one.wait_line("reload 1 committed")
    (lib / "release" / "deep" / "file").write_text("new")
    one.wait_line("reload 2 committed")


# ---- processes


@pytest.mark.root
def test_reload_without_processes(directory, port):
    """clone() says EAGAIN: the user has as many processes as he may, until one of them ends."""
    os.chown(directory, LONELY, LONELY)
    one = Master(directory, configs.echo(f"127.0.0.1:{port}", workers=2), wrapper=[*AS_LONELY, "prlimit", "--nproc=4:4"])
    one.wait_ready()
    pids = one.pids()
    with Load(directory, f"127.0.0.1:{port}", 500, 20):
        with subprocess.Popen([*AS_LONELY, "sleep", "60"]) as fourth:
            proc.wait_until(lambda: proc.field(fourth.pid, "Uid").split()[0] == str(LONELY), "it counts")
            reply = one.expect_reload("rolled_back")
            fourth.kill()
        assert os.strerror(errno.EAGAIN) in reply["reason"] and "processes" in reply["reason"], reply
        assert one.pids() == pids
        one.expect_reload("committed")
    one.stop()


# ---- space


@pytest.fixture
def small(directory):
    """small(size, inodes): a file system of its own."""
    made = []

    def make(size="64k", inodes=0):
        check(LIBC.unshare(CLONE_NEWNS))
        check(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
        path = directory / "small"
        path.mkdir()
        check(LIBC.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, f"size={size},nr_inodes={inodes},mode=0755".encode()))
        made.append(path)
        return path
    yield make
    for path in made:
        check(LIBC.umount2(os.fsencode(path), 2))


def fill(path):
    """Until nothing fits any more; returns the file to remove."""
    filler = path / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return filler


def use_up_inodes(path, leave=0):
    made = []
    try:
        while True:
            made.append(path / f"inode-{len(made)}")
            made[-1].touch()
    except OSError as error:
        assert error.errno == errno.ENOSPC
    made.pop()
    for one in made[:leave]:
        one.unlink()
    return made[leave:]


@pytest.mark.root
def test_no_space_for_the_pid_file(directory, small, port):
    place = small("4k")
    fill(place)
    config = configs.echo(f"127.0.0.1:{port}")
    config["pid_file"] = str(place / "pid")
    one = Master(directory, config)
    one.wait_end(1)
    assert re.search(f"{place}/pid: cannot write the pid file: No space left on device", one.log.text())
    assert not (place / "pid").exists()


@pytest.mark.root
def test_no_space_for_the_runtime_directory(directory, small, port):
    place = small(inodes=8)
    use_up_inodes(place)
    config = configs.echo(f"127.0.0.1:{port}")
    config["runtime_directory"] = str(place / "run")
    one = Master(directory, config)
    one.wait_end(1)
    assert f"runtime_directory {place}/run: cannot make it: No space left on device" in one.log.text()


@pytest.mark.root
def test_reload_without_space_in_the_runtime_directory(master, directory, small, port):
    """A worker's notify socket has a name there."""
    place = small(inodes=32)
    config = configs.echo(f"127.0.0.1:{port}", workers=2)
    config["runtime_directory"] = str(place)
    one = master(config, ready=False)
    one.runtime, one.socket = place, place / "control.sock"
    one.wait_ready()
    pids = one.pids()
    with Load(directory, f"127.0.0.1:{port}", 500, 20):
        for leave in range(2):
            taken = use_up_inodes(place, leave)
            reply = one.reload()
            if reply["result"] == "committed":
                break
            assert reply["result"] == "rolled_back" and "No space left on device" in reply["reason"], reply
            assert str(place) in reply["reason"], reply
            assert one.pids() == pids
            for path in taken:
                path.unlink()
        for path in taken:
            path.unlink(missing_ok=True)
        one.expect_reload("committed")
    assert leave > 0


@pytest.mark.root
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_space_for_the_log(master, directory, small, port, form):
    """Lines are lost and counted, whole ones at a time; reloads go on."""
    place = small("8k")
    config = configs.echo(f"127.0.0.1:{port}", workers=2)
    config["log"] = {"file": str(place / "log"), "format": form}
    one = master(config)
    filler = fill(place)
    with Load(directory, f"127.0.0.1:{port}", 500, 20):
        for _ in range(15):
            one.expect_reload("committed")
        filler.unlink()
        one.expect_reload("committed")
    lines = (place / "log").read_text().splitlines()
    assert any(re.search(r"[0-9]+ log lines were lost", line) for line in lines), lines
    for line in lines:
        if form == "json":
            json.loads(line)
        else:
            assert re.match(r"\d{4}-\d\d-\d\dT[0-9:.]+Z \w+ .*[^ ]$", line), lines
            assert line.count("Z info ") + line.count("Z warning ") <= 1, lines
