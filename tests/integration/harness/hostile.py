"""Clients of the HTTP gateway that mean no good: many sockets at once, and bytes as they come."""
import base64
import contextlib
import http.client
import resource
import selectors
import socket
import time
from concurrent import futures


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def ask(port, path, headers=None, method="GET", source="127.0.0.1", seconds=60, body=None):
    """One request on a connection of its own: (status, headers, body). A Host that is named takes the place of the usual one; None: there is none."""
    headers = dict(headers or {})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in {"Connection": "close", "Content-Length": str(len(body or b"")), **headers}.items():
            if value is not None and (name != "Content-Length" or method == "POST"):
                connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()


def ask_all(port, requests, at_once=64):
    """Many at the same time, each the arguments of ask(); the answers in their order."""
    with futures.ThreadPoolExecutor(at_once) as pool:
        return [one.result() for one in [pool.submit(ask, port, *arguments, **options) for arguments, options in requests]]


def many_descriptors(count):
    """This process may have that many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


class Exchange:
    """Bytes to be sent, and what came back until the other end closed or nobody wanted to wait any longer."""

    def __init__(self, data, seconds=0.0):
        self.data = data
        self.seconds = seconds  # patience after all is sent; 0: until the end
        self.reply = b""
        self.sent = 0
        self.is_over = False
        self.gave_up = False
        self.deadline = None

    @property
    def statuses(self):
        """Of all answers: what follows "HTTP/1.1 " at the beginnings of lines."""
        return [int(line[9:12]) for line in self.reply.split(b"\r\n") if line.startswith(b"HTTP/1.") and line[9:12].isdigit()]


class Crowd:
    """Exchanges over one port, so many of them at once, each on a connection of its own; nothing waits for anything else."""

    def __init__(self, port, at_once=48):
        self.port = port
        self.at_once = at_once
        self.selector = selectors.DefaultSelector()
        self.open = {}

    def run(self, exchanges, seconds=90):
        deadline = time.monotonic() + seconds
        waiting = iter(exchanges)
        done = []
        exhausted = False
        try:
            while self.open or not exhausted:
                assert time.monotonic() < deadline, f"{len(self.open)} of the requests were not answered within {seconds} s"
                while len(self.open) < self.at_once and not exhausted:
                    exchange = next(waiting, None)
                    exhausted = exchange is None
                    if exchange:
                        done.append(exchange)
                        self._begin(exchange)
                for key, events in self.selector.select(0.05):
                    self._go_on(key.fileobj, key.data, events)
                self._give_up()
        finally:
            for client in list(self.open):
                self._end(client)
            self.selector.close()
        return done

    def _begin(self, exchange):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", self.port))
        self.open[client] = exchange
        self.selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE, exchange)

    def _end(self, client):
        self.selector.unregister(client)
        self.open.pop(client).is_over = True
        client.close()

    def _go_on(self, client, exchange, events):
        try:
            if events & selectors.EVENT_WRITE:
                exchange.sent += client.send(exchange.data[exchange.sent:])
                if exchange.sent == len(exchange.data):
                    if exchange.seconds:
                        exchange.deadline = time.monotonic() + exchange.seconds
                    else:
                        client.shutdown(socket.SHUT_WR)
                    self.selector.modify(client, selectors.EVENT_READ, exchange)
            if events & selectors.EVENT_READ:
                data = client.recv(65536)
                exchange.reply += data
                if not data:
                    self._end(client)
        except BlockingIOError:
            pass
        except OSError:
            self._end(client)

    def _give_up(self):
        now = time.monotonic()
        for client, exchange in list(self.open.items()):
            if exchange.deadline and now > exchange.deadline:
                exchange.gave_up = True
                self._end(client)
