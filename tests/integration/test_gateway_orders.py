"""Orders that come by HTTP, as everybody else hears of them; and a gateway beside whatever else an operator does with the master."""
import http.client
import json
import signal
import socket

import pytest

from harness import configs
from harness.gateway import IS_BUILT

pytestmark = pytest.mark.skipif(not IS_BUILT, reason="built without the gateway")


def worker_of(status):
    """The pid of the gateway that serves, once it is alone; else None."""
    program = (status.get("gateway") or {}).get("program") or {"slots": []}
    pids = [worker["pid"] for slot in program["slots"] for worker in slot["workers"]]
    return pids[0] if len(pids) == 1 and status["gateway"]["state"] == "READY" else None


def await_gateway(one, but=None):
    return worker_of(one.wait(lambda status: worker_of(status) not in (None, but), "the gateway is ready"))


def ask(port, method, path, body=None, address="127.0.0.1"):
    connection = http.client.HTTPConnection(address, port, timeout=30)
    try:
        connection.request(method, path, body=json.dumps(body) if body else None,
                           headers={"Content-Type": "application/json"} if body else {})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


@pytest.fixture
def served(master, directory, port):
    def start(section=None, **options):
        one = master({**configs.recorders(directory / "record"), "gateway": {"listen": f"127.0.0.1:{port}", **(section or {})}}, **options)
        one.pid_of_gateway = await_gateway(one)
        return one
    return start


@pytest.mark.parametrize("method, path, body", [("POST", "/reload?wait=1", None), ("POST", "/v1/reload", None),
                                                ("POST", "/v1/scale", {"program": "rec", "workers": 3}),
                                                ("POST", "/v1/restart", {"programs": ["rec"]})])
def test_cause(served, port, method, path, body):
    """Log and history tell that it came over HTTP; who asked there, only the gateway knows."""
    one = served()
    status, reply = ask(port, method, path, body)
    assert status == 200, reply
    (record,) = one.call("History")["reloads"]
    assert record["cause"]["by"] == "http" and record["cause"]["pid"] == one.pid_of_gateway
    assert f"HTTP (gateway, pid {one.pid_of_gateway})" in one.ctl("history", code=0).stdout
    if path != "/v1/scale":
        one.wait_line(rf"reload 1 began.*: HTTP \(gateway, pid {one.pid_of_gateway}\)$")


def test_cause_of_a_stop(served, port):
    one = served()
    assert ask(port, "POST", "/v1/stop", {"programs": ["rec:1"]})[0] == 200
    one.wait_line(rf"rec: stop of slot 1, asked for by HTTP \(gateway, pid {one.pid_of_gateway}\)$")
    one.ctl("stop", "rec:0", code=0)
    one.wait_line(r"rec: stop of slot 0, asked for by control of pid \d+, uid \d+$")


def test_half_a_request_at_the_end(served, port):
    """Its client is cut off in time: the gateway leaves by itself, and is not stopped at its disconnect_timeout."""
    one = served()
    with socket.create_connection(("127.0.0.1", port), 30) as client, socket.create_connection(("127.0.0.1", port), 30) as other:
        client.sendall(b"GET /stats HTTP/1.1\r\nHost")
        other.sendall(b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        assert ask(port, "GET", "/readyz")[0] == 200
        one.kill(signal.SIGTERM)
        one.wait_line("reloader-gateway/0: fully closed")
        one.wait_end()
    assert "disconnect_timeout" not in "\n".join(one.log.read())


def test_top(served, port):
    """One line for it, with what is wrong."""
    one = served()
    assert f"gateway  READY  127.0.0.1:{port}\n" in one.ctl("top", "-n", "1", code=0).stdout
    one.config["gateway"].update(username="admin", password_file="/nowhere/at/all")
    one.write()
    one.expect_reload("committed")
    one.wait(lambda status: status["gateway"].get("reason"), "status says why")
    assert f"gateway  READY  127.0.0.1:{port}  cannot read gateway.password_file /nowhere/at/all: " in one.ctl("top", "-n", "1", code=0).stdout
