"""Clients of /events, as many as one likes, read by one thread; what is wrong with what they get fails at once."""
import contextlib
import json
import selectors
import socket
import time


class Chunked:
    """The body of an answer with Transfer-Encoding: chunked, in whatever pieces it comes."""

    def __init__(self):
        self.rest, self.left, self.ended = b"", 0, False

    def feed(self, data):
        """The bytes of the body in it."""
        body, self.rest = [], self.rest + data
        while not self.ended:
            if self.left > 2:
                piece = self.rest[:self.left - 2]
                body.append(piece)
                self.rest, self.left = self.rest[len(piece):], self.left - len(piece)
                if self.left > 2:
                    break
            if self.left > 0:
                if len(self.rest) < self.left:
                    break
                assert self.rest[:self.left] == b"\r\n"[-self.left:], self.rest[:100]
                self.rest, self.left = self.rest[self.left:], 0
            size, end, rest = self.rest.partition(b"\r\n")
            if not end:
                break
            self.rest, self.left = rest, int(size, 16) + 2
            self.ended = self.left == 2
        return b"".join(body)


class EventStream:
    """One stream. `events` are (number, type, data), as they came; `last_id` is what an EventSource would come back with."""

    def __init__(self, address, query="", last_id=None, headers=None, receive_buffer=None):
        self.events, self.last_id, self.start, self.retry = [], None, None, None
        self.heartbeats, self.ended, self.head, self.text = 0, False, None, b""
        self._bytes, self._body = b"", Chunked()
        self.socket = socket.socket()
        self.socket.settimeout(20)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(address)
        lines = [f"GET /events{'?' + query if query else ''} HTTP/1.1", f"Host: {address[0]}:{address[1]}", "Accept: text/event-stream"]
        lines += [f"Last-Event-ID: {last_id}"] if last_id else []
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.socket.setblocking(False)

    def close(self):
        self.socket.close()

    def read(self):
        """What is there now. Sets `ended` where the other end has closed."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
        elif self.head is None:
            self._bytes += data
            head, end, rest = self._bytes.partition(b"\r\n\r\n")
            if end:
                self._take_head(head.decode())
                self._take(rest)
        else:
            self._take(data)

    def _take_head(self, head):
        status, *lines = head.split("\r\n")
        self.head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert status == "HTTP/1.1 200 OK", head
        assert self.head["content-type"] == "text/event-stream" and self.head["transfer-encoding"] == "chunked"
        assert self.head["cache-control"] == "no-store" and self.head["x-accel-buffering"] == "no"

    def _take(self, data):
        self.text += self._body.feed(data)
        *blocks, self.text = self.text.split(b"\n\n")
        for block in blocks:
            self._take_block(block.decode())
        self.ended |= self._body.ended

    def _take_block(self, block):
        fields = {}
        for line in block.split("\n"):
            name, colon, value = line.partition(": ")
            assert colon and name in ("", "id", "event", "data", "retry") and name not in fields, block
            fields[name] = value
        if "retry" in fields:
            self.retry = int(fields["retry"])
        self.heartbeats += "" in fields
        self.last_id = fields.get("id", self.last_id)
        if "data" in fields:
            start, _, number = fields["id"].partition("-") if "id" in fields else ("", "", "-1")
            self.events.append((int(number), fields["event"], json.loads(fields["data"])))
            self.start = start or self.start

    # --- what came

    def hello(self):
        return next((data for _, kind, data in self.events if kind == "hello"), None)

    def told(self):
        """Without what is of the gateway itself."""
        return [event for event in self.events if event[1] not in ("hello", "missed", "gone")]

    def numbers(self):
        return [number for number, _, _ in self.told()]

    def missed(self):
        return [data for _, kind, data in self.events if kind == "missed"]

    def check_gapless(self, begin, end):
        """Each number from `begin` to `end` was told once, in order, or said to be missed. How many were missed."""
        expected, missed = begin, 0
        for number, kind, data in self.events:
            if kind == "missed":
                assert data["first"] == expected and number == data["last"], (expected, data)
                missed += data["last"] + 1 - expected
                expected = data["last"] + 1
            elif kind not in ("hello", "gone"):
                assert number == expected, (expected, number)
                expected += 1
        assert expected == end + 1, (expected, end)
        return missed


def read_until(streams, condition, what, seconds=60):
    """Reads all streams until `condition(stream)` holds for each of them; none may end before."""
    waiting, end = {stream for stream in streams if not condition(stream)}, time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for stream in waiting:
            selector.register(stream.socket, selectors.EVENT_READ, stream)
        while waiting:
            assert time.monotonic() < end, \
                f"not within {seconds} s: {what}; {len(waiting)} of {len(streams)} wait, one with {next(iter(waiting)).events[-2:]}"
            for key, _ in selector.select(1):
                stream = key.data
                stream.read()
                if condition(stream):
                    waiting.discard(stream)
                    selector.unregister(stream.socket)
                else:
                    assert not stream.ended, f"a stream ended: {what}"


@contextlib.contextmanager
def streams(address, n=1, **options):
    """So many, greeted."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(contextlib.closing(EventStream(address, **options))) for _ in range(n)]
        read_until(opened, EventStream.hello, "hello")
        yield opened
