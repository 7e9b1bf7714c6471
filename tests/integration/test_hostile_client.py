"""Clients of the control socket that mean no good, or are broken: the master serves on, bounded."""
import os
import socket

import pytest

from harness import configs, proc

MEMORY_KIB = 40 << 10


@pytest.fixture
def echo(master, port):
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2))
    yield one
    assert int(proc.field(one.pid, "VmHWM").split()[0]) < MEMORY_KIB or "RELOADER_WRAPPER" in os.environ \
        or "ASAN_OPTIONS" in os.environ
    one.expect_reload("committed")


def connect(one):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(one.socket))
    return client


def is_closed(client):
    """The master has hung up, whatever it said before."""
    try:
        while client.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.sanitized
def test_says_nothing(echo):
    """It may stay, or be sent away after a while; nobody else waits for it."""
    with connect(echo):
        assert echo.status() and echo.expect_reload("committed")


@pytest.mark.sanitized
def test_half_a_message(echo):
    with connect(echo) as client:
        client.sendall(b'{"method":"io.reloader.Contr')
        assert echo.status()
        client.shutdown(socket.SHUT_WR)
        assert is_closed(client)


@pytest.mark.sanitized
def test_one_byte_at_a_time(echo):
    with connect(echo) as client:
        for byte in b'{"method":"io.reloader.Control.Version"}\0':
            client.sendall(bytes([byte]))
        assert b"version" in client.recv(4096)


@pytest.mark.sanitized
def test_100_megabytes(echo):
    """Without a NUL: hung up on long before the end."""
    with connect(echo) as client:
        sent = 0
        try:
            while sent < 100 << 20:
                sent += client.send(b"x" * (1 << 16))
        except ConnectionError:
            pass
        assert sent < 10 << 20, "it was all taken"


@pytest.mark.sanitized
@pytest.mark.parametrize("message", [
    b"\0", b"nonsense\0", b"[]\0", b"17\0", b"{}\0", b'{"method":7}\0', b'{"method":"x","parameters":[]}\0', b"[" * 60000 + b"\0",
    b'{"method":"\xff\xfe"}\0', b'{"method":"io.reloader.Control.Status","more":"yes"}\0', b'{"method":""}\0', b'{"method":"."}\0',
    b'{"a":1,"a":2,"method":"io.reloader.Control.Status"}\0', b'{"method":"io.reloader.Control.Status"}\0\0\0\0',
], ids=range(14))
def test_garbage(echo, message):
    """An error or the end of the connection, never of the master."""
    with connect(echo) as client:
        client.sendall(message)
        client.shutdown(socket.SHUT_WR)
        assert is_closed(client)


@pytest.mark.sanitized
def test_never_reads(echo):
    """A subscriber and a caller of thousands of Status who read nothing."""
    with connect(echo) as subscriber, connect(echo) as caller:
        subscriber.sendall(b'{"method":"io.reloader.Control.Subscribe","more":true}\0')
        caller.settimeout(0.2)
        try:
            while True:
                caller.sendall(b'{"method":"io.reloader.Control.Status"}\0' * 100)
        except (socket.timeout, ConnectionError):
            pass
        for _ in range(5):
            echo.expect_reload("committed")


def test_many_connections(echo):
    """Hundreds at once: some may be turned away, the next one after them is served."""
    clients = []
    try:
        for _ in range(500):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(1)
            try:
                client.connect(str(echo.socket))
            except (BlockingIOError, socket.timeout, ConnectionError):
                client.close()
                break
            clients.append(client)
        assert proc.is_running(echo.pid)
    finally:
        for client in clients:
            client.close()
    echo.wait(lambda status: True, "it answers")
    assert echo.descriptors() < 60


def test_leaves_in_the_middle(echo):
    """Clients that go away while their call is being answered."""
    for _ in range(20):
        with connect(echo) as client:
            client.sendall(b'{"method":"io.reloader.Control.Reload","more":true}\0')
    echo.expect_reload("committed")
    echo.wait_drained()
    assert echo.descriptors() < 60, proc.fds(echo.pid)


def test_sends_descriptors(echo):
    """Nobody asked for them: they are not kept."""
    before = len(proc.fds(echo.pid))
    with connect(echo) as client:
        socket.send_fds(client, [b'{"method":"io.reloader.Control.Version"}\0'], [0, 1, 2, 0, 1, 2])
        assert b"version" in client.recv(4096)
        proc.wait_until(lambda: len(proc.fds(echo.pid)) <= before + 1, f"none was kept: {proc.fds(echo.pid)}", 5)
