"""why: who is still here although it has to leave, and what for; beside what the clients, which are ours, know of themselves."""
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import BINARIES, configs, proc
from harness import master as master_module
from harness.paths import PYTHON, WORKERS
from harness.record import Record
from harness.varlink import INTERFACE
from harness.varlink_idl import Interface

LONG = "10m"  # no drain ends by itself
SOON = {"start_seconds": "50ms", "reload": {"probation": "0s", "order": "ready-first"}}

# Its child accepts and keeps what it gets, and reads nothing; the leader says that it is ready, and no more.
FORKING = """
import os, signal, socket
listener = socket.socket(fileno=3)
if os.fork() == 0:
    kept = []
    while True:
        kept.append(listener.accept())
os.write(int(os.environ["RELOADER_CHANNEL_FD"]), b'"ready"\\n')
signal.pause()
"""

# It connects to somebody itself.
ASKING = """
import os, signal, socket, sys
asked = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
pair = socket.socketpair()
os.write(int(os.environ["RELOADER_CHANNEL_FD"]), b'"ready"\\n')
signal.pause()
"""

# It leaves, and its child stays.
LEAVING = """
import os, signal
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(int(os.environ["RELOADER_CHANNEL_FD"]), b'"ready"\\n')
    while True:
        signal.pause()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.pause()
"""


# It does not mind.
IGNORING = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(os.environ["RELOADER_CHANNEL_FD"]), b'"ready"\\n')
while True:
    signal.pause()
"""


def stubborn(directory, listen, **program):
    """Their connections end when the client ends them."""
    return {"sockets": {"web": {"listen": str(listen)}}, "programs": {"web": {
        "command": [PYTHON, "-S", str(WORKERS / "stubborn.py"), str(directory / "record")], "sockets": ["web"], "ready": "message",
        "disconnect_timeout": LONG, **SOON, **program}}}


def script(text, *arguments, **program):
    return {"command": [PYTHON, "-S", "-c", text, *map(str, arguments)], "ready": "message", "drain": "message",
            "disconnect_timeout": LONG, "stop_timeout": "200ms", **SOON, **program}


def connect(address, stack):
    """Accepted for certain: it was answered."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    client = stack.enter_context(socket.socket(family))
    client.settimeout(30)
    client.connect(address)
    client.sendall(b"hello\n")
    assert client.recv(100) == b"hello\n"
    return client


def why(one, *arguments):
    return json.loads(one.ctl("why", "--json", *arguments, code=0).stdout)["workers"]


def why_only(one, *arguments):
    (worker,) = why(one, *arguments)
    return worker


def begin_drain(one):
    """Reloads, and returns the pids that have to leave."""
    before = one.pids()
    one.hup()
    return before


@pytest.fixture
def master(master):  # pylint: disable=redefined-outer-name
    """Nobody waits for their drains in the end."""
    started = []

    def start(*arguments, **options):
        started.append(master(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop(signal.SIGQUIT)


@pytest.fixture
def stack():
    with contextlib.ExitStack() as all_of_it:
        yield all_of_it


@pytest.mark.sanitized
def test_a_client_that_stays(master, directory, port, stack):
    """Its port is printed; when it closes, the drain ends."""
    one = master(stubborn(directory, f"127.0.0.1:{port}"))
    assert one.ctl("why", code=0).stdout == "no worker is draining or stopping\n"
    client = connect(("127.0.0.1", port), stack)
    (old,) = begin_drain(one)
    Record(directory / "record").wait(event="message", pid=old)
    own = client.getsockname()[1]

    text = one.ctl("why", code=0).stdout
    assert f"127.0.0.1:{own} " in text
    assert text.startswith("web/0: DRAINING for ") and text.splitlines()[0].endswith("because of reload 1")
    assert "  waits for fully_closed or its exit; disconnect_timeout in " in text
    assert f"  pid {old}, generation 1, 1 connection\n" in text and " open\n" in text

    worker = why_only(one)
    assert (worker["pid"], worker["state"], worker["reason"], worker["reload"]) == (old, "DRAINING", "reload", 1)
    assert (worker["waits_for"], worker["limit"], worker["connection_count"]) == ("fully_closed", "disconnect_timeout", 1)
    assert 0 < worker["left_usec"] <= 600e6 and "message_unread" not in worker
    (connection,) = worker["connections"]
    assert connection["peer"] == f"127.0.0.1:{own}" and connection["local"] == f"127.0.0.1:{port}"
    assert (connection["protocol"], connection["state"], connection["accepted"], connection["pids"]) == ("tcp", "established", True, [old])
    assert (connection["unread"], connection["unsent"]) == (0, 0)
    assert connection["age_at_least_usec"] >= connection["idle_usec"] and "age_usec" not in connection
    assert [process["pid"] for process in worker["processes"]] == [old]

    description = one.call("org.varlink.service.GetInterfaceDescription", {"interface": INTERFACE})["description"]
    interface = Interface(description)
    assert not interface.wrong(interface.methods["Why"][1], one.call("Why", {"all": True}), "Why")

    client.close()
    proc.wait_gone(old)
    one.wait_drained()
    assert one.ctl("why", code=0).stdout == "no worker is draining or stopping\n"


def test_ipv6_and_unix(master, directory, port, stack):
    """Both ends as they are written elsewhere; of a Unix socket the process at the other end."""
    path = str(directory / "web.sock")
    config = stubborn(directory, f"[::]:{port}", workers=2)
    config["sockets"]["local"] = {"listen": f"unix:{path}"}
    config["programs"]["local"] = {**config["programs"]["web"], "sockets": ["local"], "workers": 1}
    one = master(config)
    six, mapped = connect(("::1", port), stack), connect(("127.0.0.1", port), stack)
    connect(path, stack)
    begin_drain(one)
    found = {connection.get("peer") or connection["peer_pid"]: connection for worker in why(one) for connection in worker["connections"]}
    assert set(found) == {f"[::1]:{six.getsockname()[1]}", f"127.0.0.1:{mapped.getsockname()[1]}", os.getpid()}
    assert found[f"[::1]:{six.getsockname()[1]}"]["local"] == f"[::1]:{port}"
    assert (found[os.getpid()]["local"], found[os.getpid()]["protocol"]) == (f"unix:{path}", "unix")
    assert f"    pid {os.getpid()} " in one.ctl("why", "local", code=0).stdout


def test_another_process_of_its_group(master, port, stack):
    """Who holds the connection, what it has not read, and that the worker has not even read that it is to leave."""
    one = master({"sockets": {"web": {"listen": f"127.0.0.1:{port}"}}, "programs": {"web": script(FORKING, sockets=["web"])}})
    (leader,) = one.pids()
    (child,) = proc.children(leader)
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    client.sendall(b"x" * 12345)
    proc.wait_until(lambda: why_only(one, "-a")["connection_count"] == 1, "it was accepted")
    begin_drain(one)
    worker = why_only(one)
    assert worker["pid"] == leader and worker["message_unread"] is True
    assert [process["pid"] for process in worker["processes"]] == [leader, child] and worker["process_count"] == 2
    (connection,) = worker["connections"]
    assert connection["pids"] == [child] and connection["unread"] == 12345
    assert "age_usec" in connection, "it never sent anything, so its age is known"
    text = one.ctl("why", code=0).stdout
    assert "it has not read yet that it is to leave" in text and f" {child} python3" in text
    client.close()
    proc.wait_until(lambda: why_only(one)["connections"][0]["state"] == "close_wait", "the kernel knows that the client left")
    assert " left by peer\n" in one.ctl("why", code=0).stdout


def test_it_connected_itself(master, stack):
    """To a server of ours; the pair of sockets by which it talks with itself is no connection."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    address = server.getsockname()[1]
    one = master({"programs": {"ask": script(ASKING, address)}})
    begin_drain(one)
    worker = why_only(one)
    (connection,) = worker["connections"]
    assert connection["accepted"] is False and connection["peer"] == f"127.0.0.1:{address}"
    assert f"    to 127.0.0.1:{address} " in one.ctl("why", code=0).stdout


@pytest.mark.limit(240)
def test_thousands(master, directory, port, stack):
    """All are counted, some are listed; a terminal's worth is printed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 12000:
        pytest.skip(f"no more than {hard} descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 12000), hard))
    stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
    one = master(stubborn(directory, f"127.0.0.1:{port}", limits={"nofile": 12000}))
    clients = [connect(("127.0.0.1", port), stack) for _ in range(5000)]
    begin_drain(one)
    last = clients[1234]
    last.sendall(b"again\n")
    assert last.recv(100) == b"again\n"
    worker = why_only(one)
    assert worker["connection_count"] == 5000 and len(worker["connections"]) == 500
    idle = [connection["idle_usec"] for connection in worker["connections"]]
    assert idle == sorted(idle)
    ports = {f"127.0.0.1:{client.getsockname()[1]}" for client in clients}
    assert {connection["peer"] for connection in worker["connections"]} <= ports
    text = one.ctl("why", code=0).stdout
    assert ", 5,000 connections\n" in text and "    and 4,990 more\n" in text and len(text.splitlines()) == 16
    assert len(one.ctl("why", "-n", "20", code=0).stdout.splitlines()) == 26


def test_one_that_is_stopped(master, directory, port, stack):
    one = master(stubborn(directory, f"127.0.0.1:{port}"))
    client = connect(("127.0.0.1", port), stack)
    (old,) = one.pids()
    os.kill(old, signal.SIGSTOP)
    client.sendall(b"anybody there?")
    begin_drain(one)
    worker = why_only(one)
    assert worker["processes"][0]["state"] == "stopped" and worker["message_unread"] is True
    assert worker["connections"][0]["unread"] == len(b"anybody there?")
    assert f"python3 ({old}) is stopped; `kill -CONT {old}` lets it go on" in one.ctl("why", code=0).stdout
    os.kill(old, signal.SIGCONT)
    client.close()
    proc.wait_gone(old)


@pytest.mark.root
def test_of_another_user(master, directory, port, stack):
    (directory / "record").touch()
    (directory / "record").chmod(0o666)
    one = master(stubborn(directory, f"127.0.0.1:{port}", user="nobody"))
    client = connect(("127.0.0.1", port), stack)
    (old,) = begin_drain(one)
    assert os.stat(f"/proc/{old}").st_uid != 0
    (connection,) = why_only(one)["connections"]
    assert connection["peer"].endswith(f":{client.getsockname()[1]}")


@pytest.mark.root
@pytest.mark.parametrize("lacks", ["sys_ptrace", "sys_ptrace,-dac_override,-dac_read_search"])
def test_of_one_that_cannot_be_read(master, directory, port, stack, lacks):
    """The sandbox of a unit may take that right from root: it is said, and not taken for an idle worker."""
    (directory / "record").touch()
    (directory / "record").chmod(0o666)
    one = master(stubborn(directory, f"127.0.0.1:{port}", user="nobody"), wrapper=["setpriv", f"--bounding-set=-{lacks}"])
    connect(("127.0.0.1", port), stack)
    (old,) = begin_drain(one)
    proc.wait_until(lambda: proc.field(old, "State").startswith("S"), "it sleeps")
    worker = why_only(one)
    assert worker["incomplete"] is True and worker["connection_count"] == 0
    assert worker["processes"] == [{"pid": old, "name": "python3", "state": "sleeping", "unreadable": "Permission denied"}]
    text = one.ctl("why", code=0).stdout
    assert ", no open connection known\n" in text and f"python3 ({old}): its connections are not known: Permission denied\n" in text


def test_no_connection(master):
    """Then what there is: processes, and the word that did not come."""
    one = master({"programs": {"job": script(ASKING.replace("asked =", "asked = 0 #"), 0)}})
    (old,) = begin_drain(one)
    assert why_only(one)["connection_count"] == 0
    text = one.ctl("why", code=0).stdout
    assert f"  waits for fully_closed or its exit; disconnect_timeout in " in text and f"  pid {old}, generation 1, no open connection\n" in text
    assert f"  processes: {old} python3\n" in text


def test_the_rest_of_its_group(master):
    """The leader has left; who is asked about is still known by it."""
    one = master({"programs": {"job": script(LEAVING, drain="signal")}})
    (leader,) = one.pids()
    (child,) = proc.children(leader)
    one.hup()
    one.wait(lambda _: why_only(one)["waits_for"] == "rest", "the master knows that the leader has left")
    assert not proc.is_running(leader)
    worker = why_only(one)
    assert (worker["pid"], worker["state"], worker["limit"]) == (leader, "STOPPING", "disconnect_timeout")
    assert [process["pid"] for process in worker["processes"]] == [child]
    assert "  its leader has left; waits for the rest of it; disconnect_timeout in " in one.ctl("why", code=0).stdout
    os.kill(child, signal.SIGKILL)
    one.wait_drained()


# As LEAVING, but that child of a child leads a group of its own, and holds a connection.
STRAYING = """
import os, signal, socket
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        accepted = socket.socket(fileno=3).accept()
        os.write(int(os.environ["RELOADER_CHANNEL_FD"]), b'"ready"\\n')
        while True:
            signal.pause()
    os._exit(0)
os.wait()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.pause()
"""


def test_one_that_left_its_group(master, port, stack):
    """kill_mode: tree waits for it; its parent is the master now."""
    one = master({"sockets": {"web": {"listen": f"127.0.0.1:{port}"}}, "programs": {
        "web": script(STRAYING, sockets=["web"], drain="signal", kill_mode="tree", stop_timeout=LONG)}}, ready=False)
    one.wait_line("web/0: up")
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    one.wait_ready()
    (leader,) = one.pids()
    # Who made it may leave later than it says that it is ready.
    (stray,) = proc.wait_until(lambda: [pid for pid in proc.children(one.pid) if pid != leader], "its parent has left")
    one.ctl("stop", "--force", "--no-wait", "web", code=0)
    one.wait(lambda _: (now := why_only(one))["process_count"] == 1 and now["waits_for"] == "rest", "the leader was told, and has left")
    worker = why_only(one)
    assert (worker["pid"], worker["limit"]) == (leader, "stop_timeout")
    assert [process["pid"] for process in worker["processes"]] == [stray]
    (connection,) = worker["connections"]
    assert connection["pids"] == [stray] and connection["peer"] == f"127.0.0.1:{client.getsockname()[1]}"
    os.kill(stray, signal.SIGKILL)
    one.wait(lambda _: why(one) == [], "it is gone")


def test_names_and_reasons(master):
    """Those asked for alone; `all` shows those that stay as well. Each tells why it has to leave, and what ends it."""
    one = master({"programs": {"web": script(IGNORING, stop_timeout=LONG), "b": script(IGNORING, workers=2)}})
    assert why(one) == [] == why(one, "web", "b:1")
    assert [worker["name"] for worker in why(one, "-a")] == ["web/0", "b/0", "b/1"]
    assert [worker["name"] for worker in why(one, "-a", "b/1")] == ["b/1"]
    assert "nobody" in one.ctl("why", "-a", "nobody", code=1).stderr
    assert "'b:7' is no slot or worker" in one.ctl("why", "b:7", code=1).stderr
    one.ctl("stop", "--no-wait", "web", code=0)
    one.ctl("scale", "b", "1", code=0)
    one.wait(lambda status: len(why(one)) == 2, "both are told")
    assert {worker["name"]: worker["reason"] for worker in why(one)} == {"web/0": "stop", "b/1": "fewer workers"}
    assert not any("reload" in worker for worker in why(one))
    assert why_only(one, "web")["limit"] == "disconnect_timeout"
    one.ctl("stop", "--no-wait", "--force", "web", code=0)
    worker = why_only(one, "web")
    assert (worker["state"], worker["reason"], worker["waits_for"], worker["limit"]) == ("STOPPING", "stop", "exit", "stop_timeout")
    assert 0 < worker["left_usec"] <= 600e6
    os.kill(worker["pid"], signal.SIGKILL)
    proc.wait_gone(worker["pid"])


def test_a_program_that_was_removed(master, directory, port, stack):
    config = stubborn(directory, f"127.0.0.1:{port}")
    config["programs"]["other"] = {"command": ["sleep", "1000"], **SOON}
    one = master(config)
    connect(("127.0.0.1", port), stack)
    (old,) = one.pids("web")
    del one.config["programs"]["web"], one.config["sockets"]["web"]
    one.write()
    one.hup()
    worker = next(worker for worker in why(one) if worker["program"] == "web")
    assert worker["pid"] == old and worker["reason"] == "removed" and worker["connection_count"] == 1
    assert [why_only(one, name)["pid"] for name in ("web", "web:0", "web/0")] == [old] * 3, "status shows it by that name"
    one.ctl("status", code=0)


# --- reloader-why itself

def with_helper(directory, monkeypatch, text):
    """A reloader that finds that program beside itself."""
    place = directory / "bin"
    place.mkdir()
    shutil.copy(BINARIES.reloader, place / "reloader")
    if text:
        (place / "reloader-why").write_text(text)
        (place / "reloader-why").chmod(0o755)
    monkeypatch.setattr(master_module, "BINARIES", types.SimpleNamespace(reloader=str(place / "reloader"), reloaderctl=BINARIES.reloaderctl))


@pytest.mark.parametrize("text, failure", [
    (None, "reloader-why is not installed beside reloader"),
    ("#!/bin/sh\nexec sleep 1000\n", "reloader-why took longer than 5 s and was killed"),
    ("#!/bin/sh\nexec yes\n", "reloader-why told more than 1 MiB and was killed"),
    ("#!/bin/sh\necho hello\n", "reloader-why said what cannot be understood"),
    ("#!/bin/sh\necho no idea >&2; exit 3\n", "no idea"),
    ("#!/bin/sh\nkill -9 $$\n", "reloader-why: SIGKILL"),
])
def test_one_that_fails(master, directory, monkeypatch, text, failure):
    """What the master knows itself is told nevertheless; and it serves others meanwhile."""
    with_helper(directory, monkeypatch, text)
    one = master({"programs": {"job": {"command": ["sleep", "1000"], "start_seconds": "10ms"}}})
    with one.connect() as connection:
        connection.send("Why", {"all": True})
        assert one.status()["master"]["state"] == "running"
        with ThreadPoolExecutor() as meanwhile:
            asked = meanwhile.submit(one.ctl, "why", "-a", code=1)
            reply = connection.receive()["parameters"]
            done = asked.result()
    assert reply["failure"] == failure
    assert [worker["name"] for worker in reply["workers"]] == ["job/0"]
    assert "connections" not in reply["workers"][0]
    assert done.stderr == f"reloaderctl: connections are not known: {failure}\n" and done.stdout.startswith("job/0: READY for ")


def test_nobody_waits_for_it(master, directory, monkeypatch):
    """Clients that leave take it along, those whose turn has not come too; two run at a time."""
    with_helper(directory, monkeypatch, "#!/bin/sh\nexec sleep 1000\n")
    one = master({"programs": {"job": {"command": ["sleep", "999"], "start_seconds": "10ms"}}})

    def running():
        return [pid for pid in proc.children(one.pid) if proc.is_running(pid) and proc.describe(pid).startswith(f"{pid} (sleep 1000,")]

    descriptors = one.descriptors()
    with contextlib.ExitStack() as clients:
        for _ in range(30):
            clients.enter_context(one.connect()).send("Why", {"all": True})
        proc.wait_until(lambda: len(running()) == 2, "two of them run")
        first = running()
    proc.wait_until(lambda: not running(), "none of them runs")
    assert not any(proc.is_running(pid) for pid in first)
    proc.wait_until(lambda: one.descriptors() == descriptors, "nothing of it is left")


def test_the_master_leaves_meanwhile(master, directory, monkeypatch):
    with_helper(directory, monkeypatch, "#!/bin/sh\nexec sleep 1000\n")
    one = master({"programs": {"job": {"command": ["sleep", "999"], "start_seconds": "10ms"}}})
    with one.connect() as connection:
        connection.send("Why", {"all": True})
        one.wait(lambda _: len(proc.children(one.pid)) == 2, "it runs")
        one.stop()
        assert connection.receive()["error"] == "io.reloader.Control.ShuttingDown"
