"""Connections that end slowly, or not at all."""
import json
import os
import selectors
import signal
import socket
import threading

import pytest

from harness import configs
from harness.paths import PYTHON, WORKERS
from harness.record import Record


class Chatter:
    """A stream that asks for an echo again and again, in a thread, and writes down how each one went."""

    def __init__(self, port, record):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.output = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.ask()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def write(self, event):
        os.write(self.output, json.dumps({"event": event}).encode() + b"\n")

    def ask(self):
        self.socket.sendall(b"hello\n")
        if self.socket.recv(100) != b"hello\n":
            raise ConnectionError("no echo")

    def run(self):
        pause = selectors.DefaultSelector()
        try:
            while True:
                self.ask()
                self.write("echo")
                pause.select(0.01)
        except OSError:
            self.write("cut")


def stubborn(record, port, **program):
    return {"sockets": {"echo": {"listen": f"127.0.0.1:{port}"}},
            "programs": {"echo": {"command": [PYTHON, "-S", str(WORKERS / "stubborn.py"), str(record)], "sockets": ["echo"],
                                  "ready": "message", "disconnect_timeout": "3s", **program}}}


@pytest.mark.parametrize("workers", [1, 2])
def test_cut_at_disconnect_timeout(master, directory, port, workers):
    """It is cut by disconnect_timeout, not before, and the reload ends."""
    record = Record(directory / "record")
    one = master(stubborn(record.path, port, workers=workers))
    Chatter(port, record.path)
    one.hup()
    record.wait(event="cut")
    words = record.words()
    told, cut = words.index("message graceful_shutdown"), words.index("cut")
    termed = [number for number, word in enumerate(words) if word == "signal SIGTERM"]
    assert words[told:cut].count("echo") > 10, f"served on after it was told: {words}"
    assert any(told < number < cut for number in termed), words
    one.wait_drained()
    assert one.generation() == 2


def test_reload_does_not_wait_for_the_last_drain(master, directory, port):
    """With ready-first, committed means that the old ones are told; they drain on, and a further reload is possible."""
    record = Record(directory / "record")
    one = master(stubborn(record.path, port, workers=1, disconnect_timeout="20s", reload={"order": "ready-first"}))
    chatter = Chatter(port, record.path)
    first = one.pids()
    one.hup()
    assert any(worker["pid"] in first for worker in one.workers()), "the old one still drains"
    one.hup()
    assert one.generation() == 3
    before = len(record.entries(event="echo"))
    record.wait(count=before + 5, event="echo")
    assert not record.entries(event="cut")
    chatter.socket.shutdown(socket.SHUT_RDWR)
    one.kill(15)
    one.wait_end(seconds=50)


def test_shutdown_lets_streams_finish(master, directory, port):
    """TERM drains; the last connection's end is the end."""
    record = Record(directory / "record")
    one = master(stubborn(record.path, port, workers=1, disconnect_timeout="30s"))
    chatter = Chatter(port, record.path)
    one.kill(15)
    record.wait(event="message", what="graceful_shutdown")
    before = len(record.entries(event="echo"))
    record.wait(count=before + 5, event="echo")
    # The master's own listeners are closed, and the worker does not accept any more: nobody can connect.
    one.kill(15)
    record.wait(event="cut")
    one.wait_end()


@pytest.mark.key("programs.NAME.max_draining")
@pytest.mark.parametrize("limit", [1, 2])
def test_max_draining(master, directory, port, limit):
    """Of the generations that still drain only the newest `limit` may; what is older is cut, what is newer is not."""
    record = Record(directory / "record")
    one = master(stubborn(record.path, port, max_draining=limit, disconnect_timeout="30s"))
    (first,) = one.pids()
    streams = []
    for number in range(4):
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        connection.sendall(b"hello\n")
        assert connection.recv(100) == b"hello\n"
        streams.append(connection)
        if number < 3:
            one.hup()
            # It has been told, but until it has heard it still accepts.
            record.wait(count=number + 1, event="message", what="graceful_shutdown")
    cut, alive = streams[:3 - limit], streams[3 - limit:]
    for connection in cut:
        assert connection.recv(100) == b""
    for connection in alive:
        connection.sendall(b"still\n")
        assert connection.recv(100) == b"still\n"
    one.wait_line(rf"echo/0: still drains in generation 1, but no more than {limit} generations may \(max_draining\): "
                  rf"stopping it, pid {first}, .* are cut\. Raise max_draining, or reload less often")
    one.stop(signal.SIGQUIT)
