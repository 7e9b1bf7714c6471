"""A crowd on the control socket, idle, slow and deaf, while the master does its work."""
import itertools
import os
import select
import socket
import threading

import pytest

from harness import configs, proc
from harness.load import Load
from harness.varlink import Varlink

IDLE, READING, DEAF = 1000, 50, 50
MEMORY_KIB = 96 << 10  # 16 MiB for all who don't read, and what a thousand connections take


@pytest.fixture
def crowd(master, port):
    """A master, and a list of clients that are closed at the end."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2, stop_timeout="2s"))
    clients = []
    yield one, clients
    for client in clients:
        client.close()


def subscribe(one, clients, count):
    for _ in range(count):
        clients.append(Varlink(one.socket))
        clients[-1].send("Subscribe", more=True)
        assert clients[-1].receive()["continues"]
    return clients[-count:]


class Reader(threading.Thread):
    """Reads what subscribers get, and keeps the numbers of the events for each."""

    def __init__(self, subscribers):
        super().__init__(daemon=True)
        self.subscribers = subscribers
        self.numbers = {subscriber: [] for subscriber in subscribers}
        self.over = threading.Event()

    def run(self):
        by_fd = {subscriber.socket.fileno(): subscriber for subscriber in self.subscribers}
        poll = select.poll()
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        while not self.over.is_set():
            for fd, _ in poll.poll(50):
                self.take(by_fd[fd])

    def take(self, subscriber):
        """All that has come: where this thread gets its turn late, that is more than one."""
        while True:
            self.numbers[subscriber].append(subscriber.receive()["parameters"]["sequence"])
            if not subscriber.has_more():
                return


class Dripper(threading.Thread):
    """A call that comes by one byte a second, and never to its end."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.sent = 0
        self.over = threading.Event()

    def run(self):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            for byte in itertools.chain(b'{"method":"io.reloader.Control.Version"', itertools.repeat(ord(" "))):
                client.sendall(bytes([byte]))
                self.sent += 1
                if self.over.wait(1):
                    return


def test_reload_under_load(crowd, directory, port):
    """1,000 idle, 50 who read, 50 who don't, one byte a second: no request fails, and memory is bounded."""
    one, clients = crowd
    clients += [Varlink(one.socket) for _ in range(IDLE)]
    reader = Reader(subscribe(one, clients, READING))
    subscribe(one, clients, DEAF)
    dripper = Dripper(one.socket)
    reader.start()
    dripper.start()
    with Load(directory, f"127.0.0.1:{port}", echo_rate=500, streams=50) as load:
        for _ in range(5):
            one.expect_reload("committed")
    assert load.report["ok"]
    assert dripper.sent > 0 and dripper.is_alive()
    last = one.status()["reload"]["id"]
    one.expect_reload("committed")
    proc.wait_until(lambda: len({len(numbers) for numbers in reader.numbers.values()}) == 1 and all(reader.numbers.values()),
                    "all who read have read the same", 30)
    reader.over.set()
    dripper.over.set()
    reader.join()
    dripper.join()
    for numbers in reader.numbers.values():
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert last == 5
    if "ASAN_OPTIONS" not in os.environ and "RELOADER_WRAPPER" not in os.environ:
        assert int(proc.field(one.pid, "VmHWM").split()[0]) < MEMORY_KIB
    assert len(proc.fds(one.pid)) > IDLE, "they were all served at once"


def test_room_for_one_more(crowd):
    """More than there are places: the idle ones make room, and somebody who asks is answered."""
    one, clients = crowd
    for _ in range(2500):
        clients.append(Varlink(one.socket))
    assert one.status()["master"]["state"] == "running"
    one.expect_reload("committed")


def test_gone_again(crowd):
    """What the crowd had is given back."""
    one, clients = crowd
    before = len(proc.fds(one.pid))
    clients += [Varlink(one.socket) for _ in range(300)]
    subscribe(one, clients, 30)
    one.expect_reload("committed")
    for client in clients:
        client.close()
    clients.clear()
    one.wait_drained()
    proc.wait_until(lambda: len(proc.fds(one.pid)) <= before + 2, "their descriptors are closed", 30)
