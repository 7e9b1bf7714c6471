"""
Clients of the HTTP gateway that mean no good, or are broken: requests of a fuzzer, slow ones, too many, too large. Whatever they do, a program of
the same master serves on without a failure, the gateway stays the same process and bounded, and does nothing that it should not.
"""
import contextlib
import os
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import configs, parallel, proc
from harness.changes import ports
from harness.hostile import Crowd, Exchange, ask, basic, many_descriptors
from harness.load import Load

RIGHT = basic("admin", "open sesame")
CREDENTIALS = RIGHT["Authorization"].encode()
MEMORY_KIB = 24 << 10  # of a gateway that has not much to do
STREAMS = 1000


class Attacked:
    """A master with tcp-echo under load and a gateway."""

    def __init__(self, master, directory, section):
        echo, self.http = ports(2)
        self.memory = MEMORY_KIB
        self.one = master({**configs.echo(f"127.0.0.1:{echo}", workers=2), "gateway": {"listen": f"127.0.0.1:{self.http}", **section}})
        self.one.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
        self.pid = self.gateway_pid()
        self.headers = RIGHT if section.get("username") else {}
        self.pids = self.one.pids()
        self.generation = 1
        self.load = Load(directory, f"127.0.0.1:{echo}", echo_rate=200, streams=10)
        assert self.status() == 200

    def gateway_pid(self):
        (pid,) = [worker["pid"] for slot in self.one.status()["gateway"]["program"]["slots"] for worker in slot["workers"]]
        return pid

    def status(self, path="/stats"):
        return ask(self.http, path, self.headers)[0]

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.http), 30)

    def check(self):
        assert self.status() == 200 and self.gateway_pid() == self.pid
        assert self.one.pids() == self.pids and self.one.generation("echo") == self.generation, "something acted"
        proc.wait_until(lambda: proc.tcp_connections(self.http) == 0, "the gateway has let go of all connections")
        peak = int(proc.field(self.pid, "VmHWM").split()[0])
        print(f"peak {peak} KiB")
        if not {"ASAN_OPTIONS", "RELOADER_WRAPPER"} & set(os.environ):
            assert peak < self.memory, f"{peak} KiB"


@pytest.fixture
def attacked(master, directory):
    """
    attacked(section): with a username, if not told otherwise. What must hold of all is looked at in the end, when other heavy loads
    have their turn again: then there is only waiting.
    """
    begun = []

    def start(heavy=True, **section):
        if heavy:
            parallel.HEAVY_LOAD.take()
        begun.append(Attacked(master, directory, section or {"username": "admin", "password": "open sesame", "public": ["healthz"]}))
        return begun[-1]
    yield start
    parallel.HEAVY_LOAD.leave()
    for one in begun:
        with one.load:
            one.check()


# --- a fuzzer

METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"get", b"G\0T", b"", b"X" * 5000]
TARGETS = [b"/", b"/stats", b"/help", b"/healthz", b"/metrics", b"/v1/Status", b"/v1/openapi.json", b"/v1/", b"/v1/Nothing", b"*", b"", b"//", b"/../etc/passwd",
           b"/%", b"/%zz", b"/stats%00", b"/stats?", b"/stats?a=b&&=&c", b"/v1/Status?" + b"a=1&" * 300, b"/page/../../x", b"http://evil.example/stats",
           b"/" + b"a" * 9000, b"/\xff\xfe", b"/events?type[]=%ff", b"/stats#x", b"\\stats", b"/v1/Logs?lines=-1"]
ACTING = [b"/reload", b"/restart", b"/quit", b"/v1/Reload", b"/v1/Restart", b"/v1/Stop", b"/v1/Scale"]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.1 ", b"http/1.1", b"", b"HTTP/1.999999999", b"\0"]
HEADERS = [b"Host: x", b"Host:", b"Host: a\r\nHost: b", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: 5, 6",
           b"Content-Length: 0\r\nContent-Length: 7", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked, chunked",
           b"Expect: 100-continue", b"Expect: 200-nonsense", b"Connection: close, upgrade", b"Upgrade: websocket", b"Range: bytes=0-", b": x", b"no colon", b" folded",
           b"A: \0", b"A\0: b", b"\xff\xff: \xff", b"X: " + b"y" * 40000, b"Cookie: " + b"a=b; " * 500, b"Origin: null", b"Origin: http://[::1", b"Sec-Fetch-Site: x",
           b"Last-Event-ID: 99999999999999999999", b"Last-Event-ID: -1:\xff", b"Accept-Encoding: *;q=nan", b"Content-Type: application/json"]
BODIES = [b"", b"x", b"hello", b"{}", b"[" * 5000, b'{"program":"echo"}', b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\nx", b"-1\r\n\r\n", b"5;" + b"e" * 3000 + b"\r\nhello\r\n0\r\n",
          b"\0" * 100, b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n" * 20, b"z" * 70000]
NO_CREDENTIALS = [b"Authorization: Basic", b"Authorization: Basic =", b"Authorization: Basic " + b"QUFB" * 3000, b"Authorization: Basic YWRtaW46eA==",
                  b"Authorization: Digest username=\"admin\"", b"authorization:\xff"]


def mutate(rng, data):
    """Bits that flip, parts that go, come twice, or are cut off."""
    data = bytearray(data)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 3, 10])):
        if not data:
            break
        at = rng.randrange(len(data))
        end = min(len(data), at + rng.randrange(1, 30))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end]
        elif kind == 3:
            data[at:at] = rng.choice([b"\r\n", b"\n", b"\r", b"\0", b"\r\n\r\n", b" ", b":", b"\xc0\x80"])
        else:
            del data[rng.randrange(len(data)):]
    return bytes(data)


def request(rng, credentials):
    """With the right credentials nothing is asked for that acts: it would be done."""
    target = rng.choice(TARGETS if credentials else TARGETS + ACTING)
    lines = [b" ".join([rng.choice(METHODS[:3] * 4 + METHODS), target, rng.choice(VERSIONS[:1] * 20 + VERSIONS)])]
    lines += [b"Host: localhost"] * (rng.random() < 0.8)
    lines += [b"Authorization: " + CREDENTIALS] if credentials else rng.choices(NO_CREDENTIALS, k=rng.random() < 0.02)
    lines += rng.choices(HEADERS, k=rng.choice([0, 0, 1, 2, 5]))
    rng.shuffle(lines[1:])
    body = rng.choice(BODIES) if rng.random() < 0.4 else b""
    end = rng.choice([b"\r\n"] * 20 + [b"\n", b"\r", b"\0"])
    return mutate(rng, end.join(lines) + end + end + body)


def is_public(data):
    return b"healthz" in data


@pytest.mark.sanitized
@pytest.mark.limit(240)
@pytest.mark.parametrize("seed", [b"with credentials", b"without"])
def test_fuzzer(attacked, seed):
    """5,000 requests, each on a connection of its own, with the right credentials or without them. What goes through without them is public."""
    one = attacked()
    rng = random.Random(seed)
    credentials = seed == b"with credentials"
    exchanges = [Exchange(request(rng, credentials), seconds=rng.choice([0] + [0.1] * 40)) for _ in range(5000)]
    done = Crowd(one.http).run(exchanges, 200)
    statuses = [status for exchange in done for status in exchange.statuses]
    assert len(done) == 5000 and len(statuses) > 1000, f"only {len(statuses)} answers: is there anybody?"
    assert {200, 400, 404, 405} <= set(statuses) and (credentials or 401 in statuses)
    assert not [exchange.data for exchange in done if 500 in exchange.statuses]
    if not credentials:
        through = [exchange.data for exchange in done if 200 in exchange.statuses and not is_public(exchange.data)]
        assert not through


# --- slow ones

# What comes at once, and then byte by byte.
POST = b"POST /v1/Status HTTP/1.1\r\nHost: x\r\nAuthorization: " + CREDENTIALS + b"\r\n"
SLOW = [
    (b"", b""),
    (b"", b"GET /" + b"a" * 1000),
    (b"GET /stats HTTP/1.1\r\n", b"X: y\r\n" * 1000),
    (POST + b"Content-Length: 60000\r\n\r\n", b"x" * 1000),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
]


def trickle(client, byte):
    """One more; false: the other end has closed."""
    try:
        client.setblocking(False)
        client.send(byte)
        return client.recv(65536) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


@pytest.mark.sanitized
@pytest.mark.slow
def test_slow_to_send(attacked):
    """Of each kind fifty that send a byte a second. All are cut off, none is waited for."""
    one = attacked(heavy=False)
    one.memory = 2 * MEMORY_KIB
    slow = [(one.connect(), text) for _, text in SLOW for _ in range(50)]
    for (client, _), begin in zip(slow, [begin for begin, _ in SLOW for _ in range(50)]):
        client.sendall(begin)
    second = 0
    try:
        while slow and second < 90:
            assert one.status() == 200
            left = []
            for client, text in slow:
                if trickle(client, text[second:second + 1]):
                    left.append((client, text))
                else:
                    client.close()
            slow = left
            second += 1
            time.sleep(1)  # this is what is tested
        assert not slow, f"{len(slow)} are still there after {second} s"
    finally:
        for client, _ in slow:
            client.close()


@pytest.mark.sanitized
def test_slow_to_read(attacked):
    """Two hundred that ask for much and read nothing: what they have not read is bounded, and they wait for it alone."""
    one = attacked()
    one.memory = 4 * MEMORY_KIB
    ask_for = b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\nAuthorization: " + CREDENTIALS + b"\r\n\r\n"
    clients = []
    try:
        for _ in range(200):
            client = one.connect()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(ask_for * 100)
            clients.append(client)
        for _ in range(20):
            assert one.status() == 200
    finally:
        for client in clients:
            client.close()


# --- too much

def endless(client, begin, more, limit=64 << 20):
    """Sends until the other end does not take it any more; what it answered."""
    client.settimeout(5)
    sent = 0
    try:
        client.sendall(begin)
        while sent < limit:
            sent += client.send(more)
    except (ConnectionError, TimeoutError):
        pass
    assert sent < limit, "it was all taken"
    try:
        return client.recv(12)
    except (ConnectionError, TimeoutError):
        return b""


ENDLESS = {
    "no line": (b"", b"A" * 65536),
    "target": (b"GET /", b"a" * 65536),
    "long headers": (b"GET /stats HTTP/1.1\r\n", b"X: " + b"y" * 60000 + b"\r\n"),
    "many headers": (b"GET /stats HTTP/1.1\r\n", b"X: y\r\n" * 10000),
    "one header": (b"GET /stats HTTP/1.1\r\nX: ", b"y" * 65536),
    "length": (POST + b"Content-Length: 99999999999\r\n\r\n", b"x" * 65536),
    "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"ffff\r\n" + b"x" * 65535 + b"\r\n"),
    "chunk extension": (POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"e" * 65536),
    "newlines": (b"", b"\r\n" * 30000),
    "zeros": (b"", b"\0" * 65536),
}


@pytest.mark.sanitized
def test_endless(attacked):
    """All kinds at a time: what the gateway does not take any more it keeps open for a while."""
    one = attacked()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(one.connect()) for _ in ENDLESS]
        with ThreadPoolExecutor(len(ENDLESS)) as together:
            sent = [together.submit(endless, client, *kind) for client, kind in zip(clients, ENDLESS.values())]
        answers = {name: future.result() for name, future in zip(ENDLESS, sent)}
    assert not {name: answer for name, answer in answers.items() if answer != b"" and answer[9:10] != b"4"}
    assert one.status() == 200


@pytest.mark.sanitized
def test_more_connections_than_it_holds(attacked):
    """They are taken in turns, and when they go all is well again."""
    many_descriptors(4096)
    one = attacked()
    one.memory = 4 * MEMORY_KIB
    clients = [one.connect() for _ in range(1800)]
    try:
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\n")
    finally:
        for client in clients:
            client.close()


@pytest.mark.sanitized
@pytest.mark.limit(240)
def test_event_streams(attacked):
    """A thousand: all see the same events, and a reload meanwhile is nobody's failure."""
    many_descriptors(4096)
    one = attacked()
    one.memory = 6 * MEMORY_KIB
    clients = []
    try:
        for _ in range(STREAMS):
            client = one.connect()
            client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: " + CREDENTIALS + b"\r\n\r\n")
            clients.append(client)
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
        assert one.status() == 200
        one.one.expect_reload("committed")
        one.one.wait_drained()
        one.pids = one.one.pids()
        for client in clients:
            read_until(client, b"event: reload")
        assert one.status() == 200
        assert one.one.generation("echo") == 2
    finally:
        for client in clients:
            client.close()
    one.generation = 2


def read_until(client, text):
    data = b""
    while text not in data:
        chunk = client.recv(65536)
        assert chunk, f"the stream has ended: {data[-300:]}"
        data = data[-len(text):] + chunk
