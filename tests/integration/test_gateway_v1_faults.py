"""The methods over HTTP when the master, or the client, does not do its part. The master is the test; the gateway is the real one."""
import contextlib
import json
import socket

import pytest

from harness import activation
from harness.gateway import Gateway
from harness.openapi import Document

CONTROL = "io.reloader.Control"
TYPES = "/v1/openapi.json#/components/schemas/"


class FakeMaster:
    """One end of a connection that the gateway calls over."""

    def __init__(self, end):
        self.end = end
        self.end.settimeout(20)
        self.rest = b""

    def receive(self):
        while b"\0" not in self.rest:
            chunk = self.end.recv(65536)
            if not chunk:
                raise ConnectionError("the gateway has closed it")
            self.rest += chunk
        frame, _, self.rest = self.rest.partition(b"\0")
        return json.loads(frame)

    def expect(self, method):
        call = self.receive()
        assert call["method"] == f"{CONTROL}.{method}"
        return call

    def say(self, **reply):
        self.end.sendall(json.dumps(reply).encode() + b"\0")

    def connect(self):
        """Answers Connect: another one."""
        self.expect("Connect")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            socket.send_fds(self.end, [b'{"parameters":{}}\0'], [theirs.fileno()])
        return FakeMaster(ours)


@pytest.fixture
def pair(directory):
    """(gateway on a Unix socket, its master)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    one = Gateway(directory, listener=activation.listen(str(directory / "http.sock")), control=theirs)
    yield one, FakeMaster(ours)
    one.stop()
    ours.close()


def ask(connection, path, method="GET", **headers):
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})


ERRORS = [
    ("io.reloader.Control.PermissionDenied", {}, 403, "PermissionDenied"),
    ("io.reloader.Control.NoSuchProgram", {"name": "web"}, 404, "NoSuchProgram"),
    ("io.reloader.Control.NotRunning", {"program": "web", "slot": 1, "state": "FAILED", "comes": True}, 409, "NotRunning"),
    ("io.reloader.Control.Failed", {"reason": "no"}, 409, "Failed"),
    ("io.reloader.Control.Failed", {}, 409, None),
    ("io.reloader.Control.TooManyClients", {}, 429, "TooManyClients"),
    ("io.reloader.Control.ShuttingDown", {}, 503, "ShuttingDown"),
    ("io.reloader.Control.NeverHeardOf", {"a": 1}, 502, "NotUnderstood"),
    ("org.varlink.service.MethodNotFound", {"method": "io.reloader.Control.Version"}, 502, "NotUnderstood"),
    ("org.varlink.service.InvalidParameter", {"parameter": "x"}, 400, "InvalidParameter"),
]


def test_errors(pair):
    one, master = pair
    document = Document(one.request("GET", "/v1/openapi.json")[2])
    with contextlib.closing(one.http()) as connection:
        for error, parameters, status, name in ERRORS:
            ask(connection, "/v1/version")
            master.expect("Version")
            master.say(error=error, parameters=parameters)
            response = connection.getresponse()
            problem = json.loads(response.read())
            assert response.status == status and response.headers["Content-Type"] == "application/problem+json", error
            assert (response.headers["Retry-After"] is not None) == (status in (429, 503))
            assert problem["type"] == TYPES + (name or "Failed") and problem["detail"]
            if name:
                document.validate(problem, name)


def test_the_master_goes(pair):
    """Who waits is told so; then the gateway goes as well."""
    one, master = pair
    with contextlib.closing(one.http()) as connection:
        ask(connection, "/v1/version")
        master.expect("Version")
        master.end.close()
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["type"]) == (503, TYPES + "NoMaster")
    assert one.process.wait(20) == 0


@contextlib.contextmanager
def stream(pair):
    """(client's connection, response, the master's end of that call), of a stream that has begun."""
    one, master = pair
    with contextlib.closing(one.http(seconds=40)) as connection:
        ask(connection, "/v1/subscribe", Accept="text/event-stream")
        lane = master.connect()
        with contextlib.closing(lane.end):
            assert lane.expect("Subscribe")["more"] is True
            lane.say(parameters={"last": 1}, continues=True)
            yield connection, connection.getresponse(), lane


def read_events(response):
    return [block.split("\n") for block in response.read().decode().split("\n\n") if block]


@pytest.mark.sanitized
def test_a_client_that_leaves(pair):
    """Its call ends with it, which over Varlink means: its connection."""
    with stream(pair) as (connection, response, lane):
        assert response.readline() == b"event: reply\n"
        response.close()
        connection.close()
        with pytest.raises(ConnectionError):
            lane.receive()


def test_a_client_that_may_have_left_before_the_first_reply(pair):
    """A master that says nothing would keep the place: there are 48 of them."""
    one, master = pair
    with one.connect() as client:
        client.sendall(b"GET /v1/subscribe HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        lane = master.connect()
        with contextlib.closing(lane.end):
            lane.expect("Subscribe")
            client.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionError):
                lane.receive()


@pytest.mark.sanitized
def test_a_client_that_does_not_read(pair):
    """It gets what is kept for it, then a word why, and the end; the master is not asked any longer. What comes is shorter than that word: for it
    there is room only where some was kept."""
    n = 0
    with stream(pair) as (_, response, lane):
        with pytest.raises(ConnectionError):
            for n in range(100000):
                lane.say(parameters={"sequence": n, "event": "x" * 50}, continues=True)
        told = read_events(response)
        assert told[-1] == ["event: end", "data: {}"]
        assert told[-2][0] == "event: error" and json.loads(told[-2][1].removeprefix("data: "))["type"] == TYPES + "TooSlow"
        numbers = [json.loads(data.removeprefix("data: "))["sequence"] for _, data in told[1:-2]]
        assert numbers == list(range(len(numbers))) and 100 < len(numbers) < n


def test_what_does_not_fit(pair):
    with stream(pair) as (_, response, lane):
        lane.say(parameters={"event": "x" * 300000}, continues=True)
        assert [event[0] for event in read_events(response)] == ["event: reply", "event: error", "event: end"]


@pytest.mark.parametrize("ending, told", [
    (lambda lane: lane.end.shutdown(socket.SHUT_RDWR), "NoMaster"),
    (lambda lane: lane.say(error=f"{CONTROL}.ShuttingDown"), "ShuttingDown"),
    (lambda lane: lane.say(parameters={}), None),
], ids=["gone", "error", "end"])
def test_how_a_stream_ends(pair, ending, told):
    with stream(pair) as (_, response, lane):
        ending(lane)
        name, data = read_events(response)[-2]
        assert name == ("event: error" if told else "event: reply")
        assert not told or json.loads(data.removeprefix("data: "))["type"] == TYPES + told


def test_heartbeat(pair):
    """Twice, as the first tells nothing of the second."""
    with stream(pair) as (_, response, _lane):
        while response.readline() != b":\n":
            pass
        while response.readline() != b":\n":
            pass


def test_a_drain_ends_streams(pair):
    one, _ = pair
    with stream(pair) as (_, response, lane):
        one.drain()
        assert read_events(response)
        with pytest.raises(ConnectionError):
            lane.receive()


def test_no_stream_begins_in_a_drain(pair):
    """Of a request that was there before: an answer, and no stream that would hold up the drain."""
    one, _ = pair
    with contextlib.closing(one.http()) as connection, stream(pair) as (_, response, _lane):
        connection.putrequest("POST", "/v1/reload")
        for name, value in {"Accept": "text/event-stream", "Content-Type": "application/json", "Content-Length": "2"}.items():
            connection.putheader(name, value)
        connection.endheaders(b"{")
        # So that it is known to have begun.
        assert one.request("GET", "/help")[0] == 200
        one.drain()
        assert read_events(response)
        connection.send(b"}")
        answer = connection.getresponse()
        assert answer.status == 503 and answer.headers["Retry-After"] and b"leaving" in answer.read()


def test_head(pair):
    """It has no body, and what would have been in it is not waited for."""
    one, master = pair
    with contextlib.closing(one.http()) as connection:
        ask(connection, "/v1/subscribe", "HEAD", Accept="text/event-stream")
        lane = master.connect()
        with contextlib.closing(lane.end):
            lane.expect("Subscribe")
            lane.say(parameters={}, continues=True)
            response = connection.getresponse()
            assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
            with pytest.raises(ConnectionError):
                lane.receive()
