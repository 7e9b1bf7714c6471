"""The HTTP gateway as one more process of the reloader: who it is, what it is given, how it is replaced, and that nothing else depends on it."""
import base64
import contextlib
import ctypes
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import threading

import pytest

from harness import configs, proc
from harness.changes import ports
from harness.event_stream import EventStream
from harness.varlink import Varlink, VarlinkError

NOBODY = 65534
CREDENTIALS = {"Authorization": "Basic " + base64.b64encode(b"admin:open sesame").decode()}


@pytest.fixture
def served(master, directory, port):
    """Two workers that record what happens to them, and a gateway on `port`."""
    def start(section=None, **options):
        config = {**configs.recorders(directory / "record"), "gateway": {"listen": f"127.0.0.1:{port}", **(section or {})}}
        one = master(config, **options)
        one.port = port
        await_gateway(one)
        return one
    return start


def gateway(one, status=None):
    return (status or one.status()).get("gateway")


def gateway_pids(status):
    program = gateway(None, status).get("program") or {"slots": []}
    return [worker["pid"] for slot in program["slots"] for worker in slot["workers"]]


def await_gateway(one, but=None):
    """Until it is ready, and alone, and another one than `but`. Returns its pid."""
    def is_there(status):
        pids = gateway_pids(status)
        return gateway(one, status)["state"] == "READY" and len(pids) == 1 and pids[0] != but
    return gateway_pids(one.wait(is_there, "the gateway is ready"))[0]


def get(one, path, headers=None, method="GET", seconds=10):
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=seconds)
    try:
        connection.request(method, path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def is_listening(port):
    return bool(proc.tcp_listeners(port))


def change(one, **section):
    """Another section, or none; the reload is committed in any case."""
    one.config["gateway"] = {"listen": f"127.0.0.1:{one.port}", **section}
    one.write()
    one.expect_reload("committed")


@pytest.mark.sanitized
@pytest.mark.key("gateway", "gateway.listen")
def test_serves(served):
    one = served()
    assert get(one, "/healthz")[0] == 200
    (pid,) = gateway_pids(one.status())
    assert gateway(one)["address"] == f"127.0.0.1:{one.port}"
    assert is_listening(one.port)
    assert pid in proc.children(one.pid)


@pytest.mark.root
@pytest.mark.key("gateway.user")
@pytest.mark.parametrize("user, uid", [(None, NOBODY), ("daemon", 1), ("root", 0)])
def test_user(served, user, uid):
    one = served({"user": user} if user else None)
    (pid,) = gateway_pids(one.status())
    assert proc.field(pid, "Uid").split() == [str(uid)] * 4
    assert proc.field(pid, "NoNewPrivs") == "1"


@pytest.mark.root
def test_has_no_privileges_and_no_secrets(served, directory):
    secret = directory / "password"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    one = served({"username": "admin", "password_file": str(secret)}, environment={"TOP_SECRET": "of the master"})
    (pid,) = gateway_pids(one.status())
    assert int(proc.field(pid, "CapEff"), 16) == int(proc.field(pid, "CapPrm"), 16) == 0
    assert proc.field(pid, "Groups").split() in ([], [str(NOBODY)])
    text = (proc.read(pid, "cmdline") + proc.read(pid, "environ")).decode()
    assert "sesame" not in text and "TOP_SECRET" not in text
    assert b"Max core file size        0                    0" in proc.read(pid, "limits")
    assert "sesame" not in "\n".join(one.log.read()) and "sesame" not in json.dumps(one.status())
    assert get(one, "/stats", CREDENTIALS)[0] == 200


def test_who_half_closes_without_a_password_is_told(served):
    """It has not guessed, so there is nothing to wait for. Several, as they may be lucky."""
    one = served({"username": "admin", "password": "open sesame"})
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", one.port), 60) as client:
            client.sendall(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: client.recv(65536), b"")).startswith(b"HTTP/1.1 401 ")


def check_password(one):
    assert get(one, "/stats")[0] == 401
    other = {"Authorization": "Basic " + base64.b64encode(b"root:open sesame").decode()}
    assert get(one, "/stats", other)[0] == 401
    assert get(one, "/stats", CREDENTIALS)[0] == 200


@pytest.mark.key("gateway.username", "gateway.password")
def test_password(served):
    check_password(served({"username": "admin", "password": "open sesame"}))


@pytest.mark.key("gateway.password_file")
def test_password_file(served, directory):
    (directory / "password").write_text("open sesame\n")
    check_password(served({"username": "admin", "password_file": str(directory / "password")}))


@pytest.mark.key("gateway.public")
def test_public(served):
    one = served({"username": "admin", "password": "open sesame", "public": ["readyz"]})
    assert get(one, "/readyz")[0] == 200
    assert get(one, "/healthz")[0] == 401 and get(one, "/metrics")[0] == 401


def steal_descriptors(pid, wanted):
    """Of another process: duplicates of its descriptors for which `wanted` holds."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for fd in [fd for fd, what in proc.fds(pid).items() if wanted(what)]:
            own = libc.syscall(438, pidfd, fd, 0)
            if own >= 0:
                yield own
    finally:
        os.close(pidfd)


@pytest.mark.root
def test_role(served):
    """What it may say to the master is less than what an operator may."""
    one = served()
    (pid,) = gateway_pids(one.status())
    os.kill(pid, signal.SIGSTOP)
    found = []
    for fd in steal_descriptors(pid, lambda what: what.startswith("socket:")):
        end = socket.socket(fileno=fd)
        if end.family != socket.AF_UNIX or end.type != socket.SOCK_STREAM or end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            end.close()
            continue
        found.append(end)
    assert found
    refused = 0
    for end in found:
        end.sendall(b'{"method":"io.reloader.Control.Version"}\0')
    # One of them is the control connection: the others are not answered.
    for end in proc.wait_until(lambda: select.select(found, [], [], 1)[0], "the master answers one of them"):
        connection = Varlink.__new__(Varlink)
        connection.socket, connection._rest = end, b""
        end.settimeout(20)
        assert connection._unwrap(connection.receive())["version"]
        for method, parameters in [("Signal", {"programs": ["rec"], "signal": "CONT"}), ("Attach", {"name": "rec:0"})]:
            with pytest.raises(VarlinkError) as error:
                connection.call(method, parameters)
            assert error.value.name == "PermissionDenied"
            refused += 1
    for end in found:
        end.close()
    assert refused == 2
    os.kill(pid, signal.SIGKILL)
    await_gateway(one, but=pid)


def test_reload_leaves_it_alone(served):
    """It takes no part in a reload, unless its own section has changed."""
    one = served()
    (pid,), workers = gateway_pids(one.status()), one.pids()
    one.expect_reload("committed")
    one.wait_drained()
    assert gateway_pids(one.status()) == [pid] and not set(workers) & set(one.pids())
    change(one, public=["metrics"])
    assert await_gateway(one, but=pid) != pid
    assert get(one, "/healthz")[0] == 200


def settings(one):
    """What a reload would set now."""
    return one.reload(dry_run=True)["plan"]["settings"]


def test_password_file_changes(served, directory):
    """What is in the file counts, as read at a reload."""
    file = directory / "password"
    file.write_text("old")
    one = served({"username": "admin", "password_file": str(file)})
    (pid,) = gateway_pids(one.status())
    assert get(one, "/stats", CREDENTIALS)[0] == 401
    assert settings(one) == []
    file.write_text("open sesame")
    assert get(one, "/stats", CREDENTIALS)[0] == 401
    assert settings(one) == ["gateway.password_file: what is in the file has changed"]
    for command in ("check",), ("reload", "--dry-run"):
        (line,) = [line for line in one.ctl(*command, code=0).stdout.splitlines() if "password_file" in line]
        assert line.split() == "set gateway.password_file what is in the file has changed".split()
    one.expect_reload("committed")
    await_gateway(one, but=pid)
    assert get(one, "/stats", CREDENTIALS)[0] == 200
    assert settings(one) == []
    # Said once where it is another file, and where there is none.
    other = directory / "other"
    one.config["gateway"]["password_file"] = str(other)
    one.write()
    (path, why) = settings(one)
    assert path.startswith("gateway.password_file: ") and str(file) in path and str(other) in path
    assert why == f"gateway.password_file: cannot read gateway.password_file {other}: No such file or directory; the gateway stays as it is"
    other.write_text("another")
    assert settings(one) == [path]
    assert "sesame" not in one.log.text() and "another" not in one.log.text()


@pytest.mark.parametrize("wrong", [{"username": "admin", "password_file": "/nowhere/at/all"},
                                   {"username": "admin", "password": "{NO-SUCH-HASH}x"}])
def test_bad_section(served, wrong):
    """A gateway that cannot be had neither fails a reload nor replaces the one that serves."""
    one = served()
    (pid,) = gateway_pids(one.status())
    change(one, **wrong)
    one.wait(lambda status: gateway(one, status).get("reason") and gateway_pids(status) == [pid], "the former serves on, and status says why")
    assert get(one, "/healthz")[0] == 200
    one.wait_line("gateway: .*the former one serves on")
    change(one)
    one.wait(lambda status: not gateway(one, status).get("reason"), "all is well again")
    assert get(one, "/healthz")[0] == 200


def test_other_address(served):
    one = served()
    (pid,) = gateway_pids(one.status())
    (new,) = ports(1)
    assert new != one.port
    one.config["gateway"]["listen"] = f"127.0.0.1:{new}"
    one.write()
    one.expect_reload("committed")
    await_gateway(one, but=pid)
    proc.wait_until(lambda: not is_listening(one.port), "the old address is free")
    one.port = new
    assert get(one, "/healthz")[0] == 200


def test_address_in_use(master, directory, port):
    """All else starts; when the address is free, the gateway has it."""
    with socket.create_server(("127.0.0.1", port)):
        one = master({**configs.recorders(directory / "record"), "gateway": {"listen": f"127.0.0.1:{port}"}})
        one.port = port
        assert gateway(one)["state"] == "FAILED" and "in use" in gateway(one)["reason"]
        assert len(one.pids()) == 2
    await_gateway(one)
    assert get(one, "/healthz")[0] == 200 and "reason" not in gateway(one)


def test_removed_and_back(served):
    one = served()
    workers = one.pids()
    del one.config["gateway"]
    one.write()
    assert one.reload(changed_only=True)["result"] == "committed"
    one.wait(lambda status: "gateway" not in status, "it is gone")
    assert not is_listening(one.port) and one.pids() == workers
    one.config["gateway"] = {"listen": f"127.0.0.1:{one.port}"}
    one.write()
    assert one.reload(changed_only=True)["result"] == "committed"
    await_gateway(one)
    assert get(one, "/healthz")[0] == 200 and one.pids() == workers


def test_mode_of_its_socket(master, directory):
    """All may connect to one that asks for a password, and to no other one: not while one replaces the other, and not when that fails."""
    path = directory / "100%.sock"

    def mode():
        return path.stat().st_mode & 0o777

    def section(**more):
        return {"listen": f"unix:{directory}/100%%.sock", **more}

    def become(**more):
        (pid,) = gateway_pids(one.status())
        one.config["gateway"] = section(**more)
        one.write()
        one.expect_reload("committed")
        return pid

    one = master({**configs.recorders(directory / "record"), "gateway": section()})
    await_gateway(one)
    assert mode() == 0o600
    pid = become(username="admin", password="{NO-SUCH-HASH}x")
    assert mode() == 0o600
    one.wait(lambda status: gateway(one, status).get("reason") and gateway_pids(status) == [pid], "the former serves on")
    assert mode() == 0o600
    pid = become(username="admin", password="open sesame")
    await_gateway(one, but=pid)
    proc.wait_until(lambda: mode() == 0o666, "all may connect")
    pid = become()
    assert mode() == 0o600
    await_gateway(one, but=pid)
    assert mode() == 0o600


def test_back_while_it_leaves(served):
    """One that is on its way out does not make a later configuration be forgotten."""
    one = served()
    (pid,) = gateway_pids(one.status())
    os.kill(pid, signal.SIGSTOP)
    section = one.config.pop("gateway")
    one.write()
    one.expect_reload("committed")
    one.wait(lambda status: gateway(one, status)["program"]["state"] == "STOPPING", "it is told to leave")
    one.config["gateway"] = section
    one.write()
    one.expect_reload("committed")
    os.kill(pid, signal.SIGCONT)
    await_gateway(one, but=pid)
    assert get(one, "/healthz")[0] == 200


@pytest.mark.sanitized
def test_killed(served):
    """It comes back; nothing else has changed."""
    one = served()
    workers = one.pids()
    for _ in range(2):
        (pid,) = gateway_pids(one.status())
        os.kill(pid, signal.SIGKILL)
        await_gateway(one, but=pid)
        assert get(one, "/healthz")[0] == 200
    assert one.pids() == workers


def test_stopped(served):
    """One that does not answer holds up nobody."""
    one = served()
    (pid,) = gateway_pids(one.status())
    os.kill(pid, signal.SIGSTOP)
    one.expect_reload("committed")
    change(one, public=["healthz"])
    os.kill(pid, signal.SIGCONT)
    await_gateway(one, but=pid)


def test_master_dies(served):
    """It does not outlive the master by more than its requests."""
    one = served()
    (pid,), workers = gateway_pids(one.status()), one.pids()
    one.kill(signal.SIGKILL)
    one.process.wait()
    one.stopped = True
    proc.wait_gone(pid)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
        proc.wait_gone(worker)


class Requests(threading.Thread):
    """One after the other, each on a connection of its own, until told to stop."""

    def __init__(self, one):
        super().__init__()
        self.one, self.done, self.failed, self.stopping = one, 0, [], False

    def run(self):
        while not self.stopping:
            try:
                status, _ = get(self.one, "/healthz")
                if status != 200:
                    self.failed.append(status)
            except OSError as error:
                self.failed.append(error)
            except http.client.HTTPException as error:
                self.failed.append(error)
            self.done += 1


@pytest.mark.sanitized
def test_reload_under_load(served):
    """No client of the gateway notices that it is replaced."""
    one = served()
    clients = [Requests(one) for _ in range(4)]
    for client in clients:
        client.start()
    for i in range(8):
        (pid,) = gateway_pids(one.status())
        change(one, public=[["healthz"], ["metrics"]][i % 2])
        await_gateway(one, but=pid)
    for client in clients:
        client.stopping = True
    for client in clients:
        client.join()
    assert [client.failed for client in clients] == [[]] * 4
    assert all(client.done > 8 for client in clients)


def test_shutdown(master, directory, port):
    """It is the last one to go, and says that the others do."""
    gate = directory / "gate"
    gate.touch()
    script = ('echo \'{"reloader":"hello","drain":true}\' >&$RELOADER_CHANNEL_FD; echo \'"ready"\' >&$RELOADER_CHANNEL_FD; '
              f'read line <&$RELOADER_CHANNEL_FD; while [ -e {gate} ]; do sleep 0.02; done')
    one = master({"programs": {"web": {"command": ["bash", "-c", script], "ready": "message", "disconnect_timeout": "60s"}},
                  "gateway": {"listen": f"127.0.0.1:{port}"}})
    one.port = port
    await_gateway(one)
    assert get(one, "/readyz")[0] == 200
    one.kill(signal.SIGTERM)
    one.wait(lambda status: status["master"]["state"] == "stopping", "it is on its way out")
    proc.wait_until(lambda: get(one, "/readyz")[0] == 503, "it says so")
    assert get(one, "/healthz")[0] == 200
    gate.unlink()
    assert one.process.wait(20) == 0
    one.stopped = True
    log = "\n".join(one.log.read())
    assert log.index("web/0: gone") < log.index("reloader-gateway/0: draining") < log.index("reloader: down")


def test_without_control_socket(master, directory, port):
    """It has a connection of its own."""
    one = master({**configs.recorders(directory / "record"), "control": {"socket": "none"}, "gateway": {"listen": f"127.0.0.1:{port}"}},
                 ready=False)
    one.port = port
    one.wait_line("reloader-gateway/0: ready")
    one.wait_line("reloader: ready, 2 of 2 workers")
    status, body = get(one, "/stats")
    assert status == 200 and len(json.loads(body)["result"]["workers"]) == 2


def read_events(one, condition, last_id=None):
    """A stream's events until the condition holds of them, as (type, data)."""
    stream = EventStream(("127.0.0.1", one.port), last_id=last_id)
    try:
        proc.wait_until(lambda: stream.read() or condition(stream.events), "the event has come")
        return stream.events, stream.last_id
    finally:
        stream.close()


def test_events_without_control_socket(master, directory, port):
    """What happens while there is no gateway is kept for the next one."""
    one = master({**configs.recorders(directory / "record"), "control": {"socket": "none"}, "gateway": {"listen": f"127.0.0.1:{port}"}},
                 ready=False)
    one.port = port
    match = one.wait_line(r"reloader-gateway/0: up, pid (\d+)")
    one.wait_line("reloader-gateway/0: ready")
    _, place = read_events(one, lambda events: any(kind == "hello" for _, kind, _ in events))
    pid = int(match[1])
    os.kill(pid, signal.SIGSTOP)
    one.kill(signal.SIGHUP)
    one.wait_line("reload 1 committed")
    os.kill(pid, signal.SIGKILL)
    one.wait_line("reloader-gateway/0: ready", times=2)
    events, _ = read_events(one, lambda events: any(kind == "reload" and data.get("state") == "ended" for _, kind, data in events), place)
    assert not any(kind == "missed" for _, kind, _ in events)


def leaving(one):
    (pid,) = gateway_pids(one.status())
    os.kill(pid, signal.SIGSTOP)
    del one.config["gateway"]
    one.write()
    one.expect_reload("committed")
    one.wait(lambda status: gateway(one, status)["program"]["state"] == "STOPPING", "it is told to leave")
    return [pid]


def rolling(one):
    """The former one does not hear that it is to leave."""
    (pid,) = gateway_pids(one.status())
    os.kill(pid, signal.SIGSTOP)
    change(one, public=["healthz"])
    one.wait(lambda status: len(gateway_pids(status)) == 2, "there is another one")
    return [pid]


def returning(one):
    """The new one ends again and again."""
    change(one, username="admin", password="{NO-SUCH-HASH}x")
    one.wait_line("reloader-gateway/0: .*password can't be used|the gateway's password can't be used")
    return []


def failing(one):
    for _ in range(2):
        (pid,) = gateway_pids(one.status())
        os.kill(pid, signal.SIGKILL)
        one.wait(lambda status, gone=pid: gone not in gateway_pids(status), "it is gone")
        await_gateway(one, but=pid)
    (pid,) = gateway_pids(one.status())
    os.kill(pid, signal.SIGKILL)
    return []


@pytest.mark.sanitized
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("phase", [leaving, rolling, returning, failing])
def test_shutdown_whatever_it_does(served, phase, number):
    """A gateway that comes, goes, or dies ends with the master."""
    one = served()
    stopped = phase(one)
    one.kill(number)
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):  # the master has let it go on, too
            os.kill(pid, signal.SIGCONT)
    assert one.process.wait(60) == 0
    one.stopped = True


def curl(*arguments):
    done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "20", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout


def test_curl(served):
    """As the README has it, by the tool that it names."""
    one = served({"username": "admin", "password": "open sesame"})
    at, user = f"http://localhost:{one.port}", ("--user", "admin:open sesame")
    assert curl(f"{at}/stats") == (0, '{"error":"unauthorized"}')
    assert curl("--fail", *user, "-X", "POST", f"{at}/reload?wait=1") == (0, '{"result":"committed"}')
    good = one.config
    one.write("programs: [")
    assert curl("--fail", *user, "-X", "POST", f"{at}/reload?wait=1")[0] == 22
    assert "reloader.yaml:2" in curl(*user, "-X", "POST", f"{at}/reload?wait=1")[1]
    one.write(good)
    assert json.loads(curl(*user, "--json", '{"program": "rec", "by": 1}', f"{at}/v1/scale")[1])["result"] == "committed"
    one.wait_ready()
    assert len(one.pids()) == 3
    assert "reloader_up 1\n" in curl(*user, f"{at}/metrics")[1]


def test_curl_on_a_unix_socket(master, directory):
    """Without a password it is for those who may use the control socket."""
    path = directory / "http.sock"
    one = master({**configs.recorders(directory / "record"), "gateway": {"listen": f"unix:{path}"}})
    await_gateway(one)
    assert path.stat().st_mode & 0o777 == 0o600
    assert curl("--unix-socket", str(path), "http://localhost/readyz") == (0, '{"result":"ready"}')


def test_percent_signs(master, directory, port):
    """Those of the configuration were expanded when it was read, and are not once more for the gateway's program."""
    runtime = directory / "100%s"
    one = master({"runtime_directory": str(runtime).replace("%", "%%"), **configs.recorders(directory / "record"),
                  "gateway": {"listen": f"127.0.0.1:{port}"}}, ready=False)
    one.port, one.runtime, one.socket = port, runtime, runtime / "control.sock"
    one.wait_line("reloader-gateway/0: ready")
    assert get(one, "/readyz")[0] in (200, 503)
