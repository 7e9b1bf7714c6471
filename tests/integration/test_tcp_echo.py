"""examples/tcp-echo by itself, with the test in the place of the master: what a client sees while it drains."""
import os
import select
import signal
import socket
import subprocess
import threading

import pytest

from harness import proc
from harness.paths import BINARIES, PYTHON

# Puts the listeners and the channel where a worker finds them, and makes LISTEN_PID true.
LAUNCHER = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
for number, fd in enumerate(fds):
    os.dup2(fd, 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds) - 1), RELOADER_CHANNEL_FD=str(2 + len(fds)))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Worker:
    def __init__(self, listeners, *arguments, **environment):
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(20)
        high = [self.raised(one) for one in (*listeners, theirs)]
        self.process = subprocess.Popen(
            [PYTHON, "-c", LAUNCHER, ",".join(map(str, high)), BINARIES.tcp_echo, *arguments], pass_fds=high,
            env={**os.environ, **environment})
        for fd in high:
            os.close(fd)
        theirs.close()
        self.words = self.channel.makefile("rb")

    @staticmethod
    def raised(one):
        """Above the places that the launcher fills."""
        duplicates = [os.dup(one.fileno())]
        while duplicates[-1] < 20:
            duplicates.append(os.dup(one.fileno()))
        for fd in duplicates[:-1]:
            os.close(fd)
        return duplicates[-1]

    def tell(self, line):
        self.channel.sendall(line + b"\n")

    def expect(self, *lines):
        for line in lines:
            assert self.words.readline() == line + b"\n"

    def begin(self):
        self.expect(b'{"reloader":"hello","drain":true}', b'"ready"')
        return self

    def drain(self, connections):
        self.tell(b'"graceful_shutdown"')
        self.expect(b'{"reloader":"status","text":"draining, %d connections"}' % connections)

    def end(self, code=0):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == code


def listen(family=socket.AF_INET):
    listener = socket.socket(family)
    if family == socket.AF_UNIX:
        listener.bind("\0tcp-echo-test-%d-%d" % (os.getpid(), listener.fileno()))
    else:
        listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


def connect(listener):
    client = socket.socket(listener.family)
    client.settimeout(20)
    client.connect(listener.getsockname())
    return client


def receive_all(client):
    data = b""
    while more := client.recv(65536):
        data += more
    return data


@pytest.fixture(params=[socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])
def listener(request, isolated):
    with listen(request.param) as one:
        yield one


@pytest.fixture
def worker(listener):
    one = Worker([listener], "--who", RELOADER_SLOT="2", RELOADER_GENERATION="5").begin()
    yield one
    if one.process.poll() is None:
        one.process.kill()
        one.process.wait()


def test_echo_and_half_close(listener, worker):
    data = os.urandom(3000000)
    with connect(listener) as client:
        writer = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        writer.start()
        assert receive_all(client) == data
        writer.join()


def test_back_pressure(listener, worker):
    """A client that does not read is not read from for ever; nothing is lost when it reads at last."""
    with connect(listener) as client:
        client.setblocking(False)
        sent = 0
        while select.select([], [client], [], 0.5)[1]:
            sent += client.send(b"x" * 65536)
        assert sent < 100 << 20
        client.settimeout(20)
        client.shutdown(socket.SHUT_WR)
        assert len(receive_all(client)) == sent


def test_who(listener, worker):
    with connect(listener) as client:
        client.sendall(b"WHO\n")
        assert client.recv(100) == b"slot=2 generation=5 pid=%d\n" % worker.process.pid
        client.sendall(b"WHO\n")
        assert client.recv(100) == b"WHO\n"


def test_without_who_it_is_an_echo(listener):
    worker = Worker([listener]).begin()
    with connect(listener) as client:
        client.sendall(b"WHO\n")
        assert client.recv(100) == b"WHO\n"
    worker.tell(b'"graceful_shutdown"')
    worker.end()


def test_drain_ends_its_side_and_reads_on(listener, worker):
    with connect(listener) as client:
        client.sendall(b"before")
        assert client.recv(100) == b"before"
        worker.drain(1)
        assert client.recv(100) == b""
        # More than any buffer holds: it is read, or this would not end; and no reset comes.
        client.sendall(b"x" * (32 << 20))
        client.sendall(b"y")
        client.shutdown(socket.SHUT_WR)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        worker.expect(b'"fully_closed"')
    worker.end()


def test_drain_echoes_what_had_arrived(listener, worker):
    """The worker is told to drain while words of many clients wait to be read: all of them come back."""
    clients = [connect(listener) for _ in range(200)]
    for client in clients:
        client.sendall(b"heard")
        assert client.recv(100) == b"heard"
    worker.process.send_signal(signal.SIGSTOP)
    # First in line: most of the words are still unread when the drain begins.
    worker.tell(b'"graceful_shutdown"')
    for client in clients:
        client.sendall(b"arrived")
    worker.process.send_signal(signal.SIGCONT)
    for client in clients:
        assert receive_all(client) == b"arrived"
        client.close()
    assert b'"text":"draining, ' in worker.words.readline()
    worker.expect(b'"fully_closed"')
    worker.end()


def test_drain_awaits_the_first_words(listener, worker):
    """To end a connection whose request is on its way would be to turn the client away."""
    with connect(listener) as client, connect(listener) as known:
        known.sendall(b"a")
        assert known.recv(1) == b"a"
        worker.drain(2)
        assert known.recv(1) == b""
        client.sendall(b"late words")
        assert receive_all(client) == b"late words"
        known.close()
        client.close()
        worker.expect(b'"fully_closed"')
    worker.end()


def test_drain_does_not_await_the_silent_for_ever(listener, worker):
    with connect(listener) as client, connect(listener) as known:
        known.sendall(b"a")
        assert known.recv(1) == b"a"
        known.close()
        worker.tell(b'"graceful_shutdown"')
        assert client.recv(1) == b""
    worker.end()


def ask(client, data):
    client.sendall(data)
    assert client.recv(100) == data


def spreading(listener, msec, count, silent=0):
    """A worker and its clients, told to end them over so long; the first `silent` of them never speak."""
    worker = Worker([listener], RELOADER_DISCONNECT_SPREAD="60000")
    worker.expect(b'{"reloader":"hello","drain":true,"spread":true}', b'"ready"')
    clients = [connect(listener) for _ in range(count)]
    for client in clients[silent:]:
        ask(client, b"hello")
    worker.tell(b'{"reloader":"disconnect_spread","msec":%d}' % msec)
    worker.drain(count)
    return worker, clients


def test_spread_ends_one_after_the_other(listener):
    """The first of them at once, the others not before their time; no more is said to be closed until all are."""
    worker, clients = spreading(listener, 40000, 20)
    assert clients[-1].recv(1) == b"", "from the youngest on"
    # Their time is half a minute from now.
    others = clients[:5]
    for client in others:
        ask(client, b"still here")
    for client in clients[5:]:
        client.close()
    # A shutdown of the master does not wait.
    worker.process.send_signal(signal.SIGSTOP)
    worker.tell(b'{"reloader":"disconnect_spread","msec":0}')
    for client in others:
        client.sendall(b"arrived")
    worker.process.send_signal(signal.SIGCONT)
    for client in others:
        assert receive_all(client) == b"arrived"
        client.close()
    worker.expect(b'"fully_closed"')
    worker.end()


def test_spread_comes_to_its_end(listener):
    """All are ended, those that never spoke and those that are left by their clients as well."""
    worker, clients = spreading(listener, 400, 40, silent=10)
    for client in clients[1::2]:
        client.close()
    for client in clients[::2]:
        assert receive_all(client) == b""
        client.close()
    worker.expect(b'"fully_closed"')
    worker.end()


def test_drain_serves_what_is_in_the_queue(listener, worker):
    """Who waits in the accept queue may have been announced to this worker alone."""
    worker.process.send_signal(signal.SIGSTOP)
    clients = [connect(listener) for _ in range(50)]
    for number, client in enumerate(clients):
        client.sendall(b"client %d" % number)
    worker.tell(b'"graceful_shutdown"')
    worker.process.send_signal(signal.SIGCONT)
    for number, client in enumerate(clients):
        assert receive_all(client) == b"client %d" % number
        client.close()
    # Some may have been served before the word was read.
    assert b'"text":"draining, ' in worker.words.readline()
    worker.expect(b'"fully_closed"')
    worker.end()


def test_drain_leaves_the_listener_to_others(listener, worker):
    other = Worker([listener]).begin()
    worker.drain(0)
    worker.expect(b'"fully_closed"')
    with connect(listener) as client:
        client.sendall(b"to the other one")
        assert client.recv(100) == b"to the other one"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    worker.end()
    other.end()


def test_workers_share_the_load(listener, worker):
    others = [Worker([listener], "--who").begin() for _ in range(3)]
    missing = {one.process.pid for one in (worker, *others)}
    # In turn, when all of them get their share of the CPU; a busy machine may keep one of them waiting for a while.
    for _ in range(5000):
        with connect(listener) as client:
            client.sendall(b"WHO\n")
            missing.discard(int(client.recv(100).partition(b"pid=")[2]))
        if not missing:
            break
    assert not missing
    for one in (worker, *others):
        one.end()


def test_all_listeners_are_served(isolated):
    with listen() as tcp, listen(socket.AF_UNIX) as unix:
        worker = Worker([tcp, unix]).begin()
        for listener in (tcp, unix):
            with connect(listener) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        worker.tell(b'"graceful_shutdown"')
        worker.end()


def test_sigterm_drains_and_leaves(listener, worker):
    with connect(listener) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        worker.process.send_signal(signal.SIGTERM)
        assert client.recv(1) == b""
        assert worker.process.poll() is None
    assert worker.process.wait(20) == 0


def test_sigterm_while_draining_leaves_at_once(listener, worker):
    with connect(listener) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        worker.drain(1)
        worker.end()


def test_master_gone(listener, worker):
    """End-of-file on the channel: finish what is open, and leave."""
    with connect(listener) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        worker.words.close()
        worker.channel.close()
        assert client.recv(1) == b""
        assert worker.process.poll() is None
    assert worker.process.wait(20) == 0


def test_want_of_fds(listener):
    """It says so once, and serves again when there are some."""
    worker = Worker([listener]).begin()
    subprocess.run(["prlimit", f"--pid={worker.process.pid}", "--nofile=12"], check=True)
    clients = [connect(listener) for _ in range(20)]
    for client in clients:
        client.sendall(b"x")
    served = 0
    for client in clients:
        assert client.recv(1) == b"x"
        client.close()
        served += 1
    assert served == 20
    worker.end()


@pytest.mark.parametrize("form", ["{port}", "127.0.0.1:{port}", "[::1]:{port}", "unix:{directory}/own.sock"])
def test_alone(form, directory, port):
    """Started by hand it listens itself."""
    address = form.format(port=port, directory=directory)
    process = subprocess.Popen([BINARIES.tcp_echo, address])

    def try_connect():
        try:
            if not form.startswith("unix"):
                return socket.create_connection(("::1" if "[" in form else "127.0.0.1", port), 20)
            client = socket.socket(socket.AF_UNIX)
            client.connect(address[5:])
            return client
        except OSError:
            return None
    client = proc.wait_until(try_connect, "it listens")
    with client:
        client.sendall(b"alone")
        assert client.recv(100) == b"alone"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.parametrize("arguments, code", [([], 2), (["--nonsense"], 2), (["host:80"], 1), (["a:b:c"], 1), (["--help"], 0)])
def test_usage(arguments, code):
    done = subprocess.run([BINARIES.tcp_echo, *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == code
    assert (done.stdout if code == 0 else done.stderr) != ""
