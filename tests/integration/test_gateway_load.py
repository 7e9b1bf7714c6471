"""The main promise beside a gateway to which everything happens at once, and what it keeps of it afterwards."""
import contextlib
import http.client
import json
import os
import signal
import socket

import pytest

from harness import Load, configs, parallel, proc
from harness.changes import ports
from harness.gateway import IS_BUILT

pytestmark = pytest.mark.skipif(not IS_BUILT, reason="built without the gateway")

FLOOD = 100
STREAMS = 50
MANY = 600


class Flood(Load):
    """Requests of which some may fail, as those of a gateway that is killed."""

    def __init__(self, directory, port, path):
        super().__init__(directory, f"127.0.0.1:{port}", 0, 0, http_rate=FLOOD, arguments=("--http-path", path, "--finish", "1s"),
                         name="flood" + path.replace("/", "-"))

    def check(self):
        assert self.report["modes"]["http"]["counts"]["ok"] > 0


def gateway_pid(status):
    program = status["gateway"].get("program") or {"slots": []}
    pids = [worker["pid"] for slot in program["slots"] for worker in slot["workers"]]
    return pids[0] if len(pids) == 1 and status["gateway"]["state"] == "READY" else None


def await_gateway(one, but=None):
    return gateway_pid(one.wait(lambda status: gateway_pid(status) not in (None, but), "the gateway is ready"))


def post(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())["result"]
    finally:
        connection.close()


@contextlib.contextmanager
def asking(port, path, number):
    """So many connections, each of which has got the begin of an answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 30)) for _ in range(number)]
        for client in clients:
            client.sendall(request)
        assert all(client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n") for client in clients)
        yield clients


def flood(stack, directory, port):
    for path in ("/stats", "/metrics", "/v1/status", "/readyz"):
        stack.enter_context(Flood(directory, port, path))
    stack.enter_context(asking(port, "/events", STREAMS))


def change_the_section(one, port, i):
    """The gateway that is asked is itself replaced by what it asks for."""
    one.config["gateway"]["public"] = ["healthz"] if i % 2 else ["metrics"]
    one.write()
    return post(port, ("/reload?wait=1", "/v1/reload")[i % 2])


def test_reloads_beside_a_flood(master, directory):
    """No client of a program is refused or cut, be the gateway flooded, replaced, stopped or killed; and who asks there is answered."""
    parallel.HEAVY_LOAD.take()
    echo, port = ports(2)
    one = master({**configs.echo(f"127.0.0.1:{echo}", workers=2, reload={"probation": "100ms"}), "gateway": {"listen": f"127.0.0.1:{port}"}})
    pid = await_gateway(one)
    with Load(directory, f"127.0.0.1:{echo}", echo_rate=500, streams=50), contextlib.ExitStack() as stack:
        flood(stack, directory, port)
        assert [post(port, "/reload?wait=1") for _ in range(2)] == [(200, "committed")] * 2
        for i in range(3):
            assert change_the_section(one, port, i) == (200, "committed")
            pid = await_gateway(one, but=pid)
        os.kill(pid, signal.SIGSTOP)
        one.expect_reload("committed")
        os.kill(pid, signal.SIGKILL)
        one.expect_reload("committed")
        pid = await_gateway(one, but=pid)
    assert post(port, "/reload?wait=1") == (200, "committed")
    one.wait_drained()


def rss_kib(pid):
    return int(proc.field(pid, "VmRSS").split()[0])


@pytest.mark.parametrize("path", ["/stats", "/events"])
def test_memory_comes_back(master, directory, port, path):
    """What many clients at once needed is not kept for ever."""
    parallel.HEAVY_LOAD.take()
    one = master({**configs.recorders(directory / "record"), "gateway": {"listen": f"127.0.0.1:{port}"}})
    pid = await_gateway(one)
    before = rss_kib(pid)
    with asking(port, path, MANY):
        most = rss_kib(pid)
        assert most - before > MANY * 8, "the test would show nothing"
    parallel.HEAVY_LOAD.leave()
    proc.wait_until(lambda: rss_kib(pid) - before < (most - before) / 4, "memory is given back")
