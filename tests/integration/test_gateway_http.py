"""The gateway's HTTP server seen from its socket: what it refuses, whom it cuts off, how many it holds, how it ends. Its paths have tests of their own."""
import contextlib
import os
import resource
import select
import signal
import socket
import subprocess
import time

import pytest

from harness import activation, proc
from harness.gateway import BINARY, IS_BUILT, Gateway

pytestmark = pytest.mark.skipif(not IS_BUILT, reason="built without the gateway")

CONNECTIONS_MAX = 1500
HEADERS_MAX = 32 * 1024
BODY_MAX = 64 * 1024
DISCARD_MAX = 1024 * 1024
FAREWELL_SECONDS = 1

GET = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def gateway(directory):
    made = []

    def make(**options):
        made.append(Gateway(directory, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def read_all(one):
    """What comes until the end of the connection."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := one.recv(65536):
            data += chunk
    return data


def is_readable(one, seconds):
    poll = select.poll()
    poll.register(one, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def answer_to(gateway, text):
    with gateway.connect() as one:
        one.sendall(text)
        one.shutdown(socket.SHUT_WR)
        return read_all(one)


def status_of(gateway, head, body=b""):
    with gateway.connect() as one:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            one.sendall(head + b"\r\n\r\n" + body)
        answer = one.recv(65536)
        assert answer.startswith(b"HTTP/1.1 "), answer
        return int(answer.split()[1])


def test_unknown_path(gateway):
    status, headers, body = gateway().request("GET", "/nothing")
    assert (status, body) == (404, b'{"error":"not found"}')
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_head_is_get_without_a_body(gateway):
    one = gateway()
    with contextlib.closing(one.http()) as http:
        for method in ("HEAD", "GET"):
            http.request(method, "/nothing")
            response = http.getresponse()
            assert response.status == 404
            assert response.headers["Content-Length"] == str(len(b'{"error":"not found"}'))
            assert (len(response.read()) > 0) == (method == "GET")


def test_other_methods(gateway):
    one = gateway()
    for method in ("POST", "DELETE", "OPTIONS", "NONSENSE"):
        status, headers, body = one.request(method, "/healthz")
        assert (status, headers["Allow"], body) == (405, "GET, HEAD", b'{"error":"method not allowed"}')
    # Who asks for headers alone wants nothing to happen.
    for method in ("DELETE", "HEAD"):
        status, headers, _ = one.request(method, "/reload")
        assert (status, headers["Allow"]) == (405, "GET, POST")
    status, headers, body = one.request("DELETE", "/v1/Status")
    assert (status, headers["Content-Type"]) == (405, "application/problem+json")


def test_requests_one_behind_the_other(gateway):
    one = gateway()
    with one.connect() as client:
        client.sendall(GET * 50)
        data = b""
        while data.count(b'{"error":"not found"}') < 50:
            data += client.recv(65536)
        assert data.count(b"HTTP/1.1 404 ") == 50


def test_unix_socket(gateway, directory):
    """From a client whose own address is longer than any of IP."""
    one = gateway(listener=activation.listen(str(directory / "gateway.sock")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.bind(str(directory / ("c" * 40)))
        client.settimeout(20)
        client.connect(one.address)
        client.sendall(GET)
        assert client.recv(65536).startswith(b"HTTP/1.1 404 ")
    assert one.request("GET", "/nothing")[0] == 404


def test_what_is_too_large(gateway):
    one = gateway()
    host = b" HTTP/1.1\r\nHost: localhost"
    assert status_of(one, b"GET /" + b"a" * 9000 + host) == 414
    assert status_of(one, b"GET /?" + b"a" * 9000 + host) == 414
    assert status_of(one, b"GET /" + b"a" * (HEADERS_MAX + 1) + host) == 414
    assert status_of(one, b"GET /" + host + b"\r\nX: " + b"a" * (HEADERS_MAX + 1)) == 431
    assert status_of(one, b"GET /" + host + b"\r\nX: y" * HEADERS_MAX) == 431
    for size, status in ((BODY_MAX, 404), (BODY_MAX + 1, 413), (DISCARD_MAX, 413)):
        assert status_of(one, b"POST /nothing" + host + b"\r\nContent-Length: %d" % size, b"x" * size) == status
    # Nobody reads that much to its end.
    assert status_of(one, b"POST /" + host + b"\r\nContent-Length: %d" % (DISCARD_MAX + 1)) == 413
    with one.connect() as client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.sendall(b"POST /" + host + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(2 * DISCARD_MAX // 4096):
            client.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        assert read_all(client) == b""
    assert one.request("GET", "/nothing")[0] == 404


@pytest.mark.parametrize("headers", [
    b"Host: a\r\nHost: b",
    b"X: y",
    b"Host: a\r\nContent-Length: 1\r\nContent-Length: 2",
    b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
    b"Host: a\r\nTransfer-Encoding: gzip, chunked",
])
def test_what_can_be_understood_in_two_ways(gateway, headers):
    one = gateway()
    answer = answer_to(one, b"POST /nothing HTTP/1.1\r\n" + headers + b"\r\n\r\n0\r\n\r\n" + GET)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == 1, "what follows is no request"


@pytest.mark.parametrize("length", [b"-1", b"1x", b"x", b"", b"99999999999999999999999"])
def test_length_that_is_none(gateway, length):
    """libmicrohttpd answers these itself, the head of its answer twice; nothing that follows is taken for a request."""
    answer = answer_to(gateway(), b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + b"\r\n\r\n" + GET)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), answer
    assert b"HTTP/1.1 404 " not in answer


def test_query_that_does_not_fit(gateway):
    """libmicrohttpd would not say a word about it: its connection ends at once, while one that is only slow is left."""
    one = gateway()
    assert status_of(one, b"GET /nothing?" + b"a&" * 256 + b"b=" + b"x" * 7000 + b" HTTP/1.1\r\nHost: localhost") == 404
    with one.connect(60) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        for query in (b"a&" * 600, b"a&" * 400 + b"x" * 7000, b"a=1&" * 1900):
            with one.connect(60) as client:
                client.sendall(b"GET /nothing?" + query + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert read_all(client) == b""
        assert not is_readable(slow, 0), "only the time of the requests was over"


@pytest.mark.parametrize("query", [b"x", b"a=1&" * 300, b"a&" * 256 + b"b=" + b"x" * 7000], ids=["short", "many", "long"])
def test_query_with_many_headers(gateway, query):
    """What comes to 32 KiB, in not too many headers, is served, and the rest refused: nobody is left without an answer."""
    one = gateway()
    head = b"GET /nothing?" + query + b" HTTP/1.1\r\nHost: localhost"
    for size in range(1024, HEADERS_MAX + 2048, 1024):
        for line in b"\r\nX: " + b"y" * size, (b"\r\nX: " + b"y" * 95) * (size // 100):
            fits = len(head + line) < HEADERS_MAX
            allowed = (404,) if fits and size <= 16384 else (404, 431) if fits else (431,)
            assert status_of(one, head + line) in allowed, (size, len(line))
    answer = answer_to(one, head + b"\r\nX: " + b"y" * HEADERS_MAX + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ") and answer.endswith(b'{"error":"request header fields too large"}')


def test_target_with_a_nul_or_a_blank(gateway):
    one = gateway()
    assert status_of(one, b"GET /healthz%00x HTTP/1.1\r\nHost: a") == 400
    assert status_of(one, b"GET /healthz?a=%00 HTTP/1.1\r\nHost: a") == 400
    assert status_of(one, b"GET /a b HTTP/1.1\r\nHost: a") == 400
    assert status_of(one, b"GET /a\x01 HTTP/1.1\r\nHost: a") == 400


@pytest.mark.limit(90)
def test_slow_clients_are_cut_off(gateway):
    """One says nothing, one begins, and sends a byte now and then: all are gone after a while, and nobody has waited for them."""
    one = gateway()
    silent, slow_line, slow_header, slow_body = (one.connect(40) for _ in range(4))
    slow_header.sendall(b"GET / HTTP/1.1\r\n")
    slow_body.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    left = {slow_line, slow_header, slow_body}
    while left:
        for client in list(left):
            try:
                client.sendall(b"G")
                gone = is_readable(client, 0.3) and client.recv(1) == b""
            except (BrokenPipeError, ConnectionResetError):
                gone = True
            if gone:
                left.remove(client)
        assert one.request("GET", "/nothing")[0] == 404
    assert read_all(silent) == b""
    for client in (silent, slow_line, slow_header, slow_body):
        client.close()


@pytest.mark.limit(120)
def test_as_many_connections_as_it_holds(gateway):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS_MAX + 300:
        pytest.skip(f"only {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    one = gateway()
    clients = []
    try:
        clients = [one.connect(60) for _ in range(CONNECTIONS_MAX)]
        for client in clients:
            client.sendall(GET)
        for client in clients:
            assert client.recv(65536).startswith(b"HTTP/1.1 404 ")
        before = one.connections()
        assert before >= CONNECTIONS_MAX
        # One more waits at the door, until somebody goes.
        more = one.connect(60)
        clients.append(more)
        more.sendall(GET)
        assert not is_readable(more, 0.5)
        assert one.connections() == before
        clients.pop(0).close()
        assert more.recv(65536).startswith(b"HTTP/1.1 404 ")
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    proc.wait_until(lambda: one.connections() < 100, "closed connections are closed here, too")


def test_fewer_descriptors_than_connections(gateway):
    one = gateway(wrapper=["/bin/sh", "-c", "ulimit -n 300; exec \"$0\""])
    clients = [one.connect(60) for _ in range(150)]
    for client in clients[:100]:
        client.sendall(GET)
        assert client.recv(65536).startswith(b"HTTP/1.1 404 ")
    for client in clients[:100]:
        client.close()
    for client in clients[100:]:
        client.sendall(GET)
        assert client.recv(65536).startswith(b"HTTP/1.1 404 ")
        client.close()


def test_idle_costs_nothing(gateway):
    """With a connection that stays, and one that left in the midst."""
    one = gateway()
    with one.connect() as client:
        client.sendall(GET)
        client.recv(65536)
        held = one.connections()
        with one.connect() as other:
            other.sendall(GET[:20])
            proc.wait_until(lambda: one.connections() == held + 1, "it has the other one, too")
        proc.wait_until(lambda: one.connections() == held, "it has heard that the other one left")
        proc.wait_until(lambda: proc.stat(one.pid)[0] == b"S", "it sleeps")
        # It is not woken at all: neither by a turn of the loop that finds nothing, nor by a timer.
        before = proc.read(one.pid, "schedstat")
        is_readable(client, 2)
        assert proc.read(one.pid, "schedstat") == before


def draining(gateway):
    """(gateway, an idle connection, one that has asked when the drain had begun, and before its farewell was over)"""
    for _ in range(20):
        one = gateway()
        idle, late = one.connect(), one.connect()
        late.sendall(GET)
        assert late.recv(65536).startswith(b"HTTP/1.1 404 ")
        began = time.monotonic()
        one.drain()
        proc.wait_until(lambda: f"socket:[{os.fstat(one.listener.fileno()).st_ino}]" not in proc.fds(one.pid).values(), "the listener is closed")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            late.sendall(GET)
            if time.monotonic() - began < FAREWELL_SECONDS:
                return one, idle, late
        idle.close()
        late.close()
        one.stop()
    raise AssertionError("each time the test itself came too late")


def test_drain(gateway):
    """Idle connections are closed, one that has still something to ask is served, nobody new is, and the listener is not ours any more."""
    one, idle, late = draining(gateway)
    answer = read_all(late)
    assert answer.startswith(b"HTTP/1.1 404 ") and b"Connection: close\r\n" in answer
    assert read_all(idle) == b""
    one.await_line("fully_closed")
    assert one.process.poll() is None
    one.stop()


def test_a_stream_that_was_left_is_closed_beside_others(gateway):
    """As a browser has them: its other connections are there longer than the stream that it leaves."""
    one = gateway()
    before = one.connections()
    with contextlib.closing(one.http()) as first, contextlib.closing(one.http()) as other:
        stream = one.connect()
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stream.recv(64).startswith(b"HTTP/1.1 200")
        for connection in (first, other):
            connection.request("GET", "/nothing")
            connection.getresponse().read()
        proc.wait_until(lambda: one.connections() == before + 3, "three connections are there")
        stream.close()
        proc.wait_until(lambda: one.connections() == before + 2, "the stream's connection is closed")
    proc.wait_until(lambda: one.connections() == before, "all are closed")
    one.drain()
    one.await_line("fully_closed")


def test_two_share_a_listener(gateway, directory):
    """As in its own reload: the older one leaves, and no client notices."""
    older = gateway()
    newer = gateway(listener=older.listener.dup())
    for _ in range(50):
        assert older.request("GET", "/nothing")[0] == 404
    older.drain()
    older.await_line("fully_closed")
    for _ in range(50):
        assert newer.request("GET", "/nothing")[0] == 404
    older.stop()
    assert newer.request("GET", "/nothing")[0] == 404
    newer.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals(gateway, number):
    one = gateway()
    with one.connect() as client:
        client.sendall(GET)
        assert client.recv(65536).startswith(b"HTTP/1.1 404 ")
        one.process.send_signal(number)
        assert read_all(client) == b""
    assert one.process.wait(20) == 0


def test_master_is_gone(gateway):
    one = gateway()
    one.channel.close()
    assert one.process.wait(20) == 0
    assert "the master is gone" in one.log.read_text()


def test_control_connection_is_gone(gateway):
    """While the master is there: without it nothing can be answered, and one that is started anew has another one."""
    one = gateway()
    one.silent.close()
    one.silent = None
    assert one.process.wait(20) == 0
    assert "closed the control connection" in one.log.read_text()


def test_drain_before_it_serves(gateway):
    one = gateway(tell=False)
    one.await_line({"cmd": "gateway"})
    one.drain()
    one.await_line("fully_closed")
    one.stop()


def test_password_in_whatever_order(gateway):
    """A message that is not for it, one that comes last."""
    one = gateway(tell=False)
    one.await_line({"cmd": "gateway"})
    one.say({"cmd": "other"})
    one.say(["gateway"])
    one.pass_listener("control", one.control.fileno())
    one.say({"cmd": "gateway"})
    one.await_line("ready")
    assert one.request("GET", "/nothing")[0] == 404
    one.stop()


def test_started_by_hand(directory):
    done = subprocess.run([BINARY], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "reloader-gateway is run by reloader" in done.stderr
