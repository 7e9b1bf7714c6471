"""The load generator is trusted to find every failure, so each kind of failure is shown to it once, on purpose."""

import collections
import contextlib
import json
import os
import pathlib
import resource
import select
import socket
import struct
import subprocess
import sys
import threading

import pytest

from harness import proc

BUILD = pathlib.Path(os.environ.get("RELOADER_BUILD", "build"))
LOADGEN = BUILD / "bench" / "loadgen"
WORKERS = pathlib.Path(__file__).resolve().parent / "workers"
SO_RCVBUFFORCE = 33


class Server:
    """Accepts in a thread and gives each connection to `serve` in one of its own."""

    def __init__(self, serve, family=socket.AF_INET, backlog=1024):
        self.serve = serve
        self.listener = socket.socket(family)
        if family == socket.AF_UNIX:
            self.listener.bind("\0loadgen-test-%d-%d" % (os.getpid(), self.listener.fileno()))
            self.target = "unix:@" + self.listener.getsockname()[1:].decode()
        else:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            self.listener.bind((host, 0))
            self.port = self.listener.getsockname()[1]
            self.target = ("[%s]:%d" if family == socket.AF_INET6 else "%s:%d") % (host, self.port)
        self.listener.listen(backlog)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def run(self, connection):
        with connection:
            try:
                self.serve(connection)
            except OSError:
                pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join(10)


def loadgen(target, *arguments, code, duration="400ms", **options):
    process = subprocess.run(
        [LOADGEN, "--target", target, "--duration", duration, "--finish", "5s", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **options)
    assert process.returncode == code, (process.stdout, process.stderr)
    report = json.loads(process.stdout)
    assert report["ok"] == (code == 0)
    return report, process.stderr.decode()


def only(mode, *classes):
    """Each of these classes was met, and no other one. Everything that was begun is accounted for."""
    counts = mode["counts"]
    assert {name for name, count in counts.items() if count > 0} == set(classes), mode
    assert sum(counts.values()) == mode.get("scheduled", mode.get("opened"))
    assert mode["failed"] == sum(counts.values()) - counts["ok"]
    assert (mode["first_failures"] == []) == (mode["failed"] == 0)


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# ---- short connections


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_good_server(family):
    with Server(echo, family) as server:
        report, errors = loadgen(server.target, "--echo-rate", "500", "--streams", "10", code=0)
    only(report["modes"]["echo"], "ok")
    only(report["modes"]["streams"], "ok")
    assert report["modes"]["echo"]["scheduled"] == 200
    assert report["modes"]["streams"]["bytes_echoed"] > 0
    assert errors == "loadgen: started\n"


def test_large_payloads():
    with Server(echo) as server:
        report, _ = loadgen(server.target, "--echo-rate", "20", "--echo-bytes", "3000000", code=0)
    only(report["modes"]["echo"], "ok")


def test_request_window():
    """Of 400 that are due, and nobody answers, only so many are begun as may be under way."""
    with Server(lambda connection: [connection.recv(65536) for _ in range(2)]) as server:
        report, _ = loadgen(server.target, "--echo-rate", "1000", "--echo-bytes", "1", "--request-window", "8", "--finish", "50ms", code=1)
    found = report["modes"]["echo"]
    only(found, "timed_out")
    assert (found["scheduled"], found["withheld"]) == (8, 392)


def test_request_window_opens():
    """Whenever an answer comes; what was left out does not follow."""
    first = threading.Barrier(8)

    def serve(connection):
        with contextlib.suppress(threading.BrokenBarrierError):
            first.wait(30)
        first.abort()  # the others need not wait
        echo(connection)
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--echo-rate", "1000", "--request-window", "8", code=0)
    found = report["modes"]["echo"]
    only(found, "ok")
    assert found["scheduled"] + found["withheld"] == 400


def test_nobody_listens():
    with Server(echo) as server:
        target = server.target
    report, errors = loadgen(target, "--echo-rate", "100", "--streams", "3", code=1)
    only(report["modes"]["echo"], "refused")
    only(report["modes"]["streams"], "refused")
    assert errors == ""


def test_no_such_unix_socket(tmp_path):
    report, _ = loadgen("unix:%s/none" % tmp_path, "--echo-rate", "100", code=1)
    only(report["modes"]["echo"], "refused")


def test_listener_closed_and_bound_again():
    """What reloader is there to prevent."""
    with Server(echo) as server:
        def rebind():
            while not server.stopping.wait(0.02):
                old, new = server.listener, socket.socket()
                old.shutdown(socket.SHUT_RDWR)
                old.close()
                server.stopping.wait(0.005)
                new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                new.bind(("127.0.0.1", server.port))
                new.listen(1024)
                server.listener = new
                threading.Thread(target=server.accept, daemon=True).start()
        thread = threading.Thread(target=rebind)
        thread.start()
        report, _ = loadgen(server.target, "--echo-rate", "2000", code=1, duration="1s")
        server.stopping.set()
        thread.join()
    counts = report["modes"]["echo"]["counts"]
    assert counts["refused"] > 0
    assert counts["ok"] > 0
    assert sum(counts.values()) == 2000


def test_cut_reply():
    def serve(connection):
        connection.sendall(connection.recv(65536)[:-1])
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--echo-rate", "200", code=1)
    only(report["modes"]["echo"], "cut")


def test_end_before_the_reply():
    with Server(lambda connection: connection.recv(65536)) as server:
        report, _ = loadgen(server.target, "--echo-rate", "200", code=1)
    only(report["modes"]["echo"], "cut")


def test_corrupted_reply():
    def serve(connection):
        data = bytearray(connection.recv(65536))
        data[len(data) // 2] ^= 1
        connection.sendall(data)
        connection.recv(1)
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--echo-rate", "200", code=1)
    only(report["modes"]["echo"], "corrupted")


def test_a_byte_too_many():
    def serve(connection):
        connection.sendall(connection.recv(65536))
        connection.recv(1)
        connection.sendall(b"!")
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--echo-rate", "200", code=1)
    only(report["modes"]["echo"], "corrupted")


def test_reset():
    def serve(connection):
        connection.recv(65536)
        reset(connection)
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--echo-rate", "200", code=1)
    only(report["modes"]["echo"], "reset")


def test_stall():
    with Server(lambda connection: server.stopping.wait()) as server:
        report, _ = loadgen(server.target, "--echo-rate", "200", "--timeout", "100ms", code=1)
    only(report["modes"]["echo"], "timed_out")


def test_stall_at_the_end_of_the_run():
    with Server(lambda connection: server.stopping.wait()) as server:
        report, _ = loadgen(server.target, "--echo-rate", "200", "--finish", "50ms", code=1)
    only(report["modes"]["echo"], "timed_out")


def test_full_queue_of_a_unix_listener():
    """A blocking connect() would wait: so does the generator, and nothing fails."""
    with Server(echo, socket.AF_UNIX, backlog=0) as server:
        report, _ = loadgen(server.target, "--echo-rate", "2000", "--streams", "20", code=0)
    only(report["modes"]["echo"], "ok")
    only(report["modes"]["streams"], "ok")


def test_unix_listener_that_never_accepts():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0loadgen-never-%d" % os.getpid())
        listener.listen(0)
        report, _ = loadgen("unix:@loadgen-never-%d" % os.getpid(), "--echo-rate", "100", "--streams", "2",
                            "--timeout", "100ms", code=1)
    only(report["modes"]["echo"], "timed_out")
    only(report["modes"]["streams"], "timed_out")


def test_own_want_of_fds_is_no_fault_of_the_server():
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
    with Server(lambda connection: server.stopping.wait()) as server:
        report, _ = loadgen(server.target, "--echo-rate", "200", "--timeout", "200ms", code=1, preexec_fn=limit)
    only(report["modes"]["echo"], "local", "timed_out")


# ---- who


def test_who():
    answers = ["slot=%d generation=2 pid=7" % slot for slot in range(2)]

    def serve(connection):
        assert connection.recv(65536) == b"WHO\n"
        connection.sendall(answers[connection.getpeername()[1] % 2].encode() + b"\n")
        connection.recv(1)
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--who-rate", "200", code=0)
    only(report["modes"]["who"], "ok")
    assert sum(entry["count"] for entry in report["servers"]) == 80
    assert {entry["server"] for entry in report["servers"]} <= set(answers)


def test_who_of_a_server_that_does_not_know():
    with Server(echo) as server:
        report, _ = loadgen(server.target, "--who-rate", "100", code=1)
    only(report["modes"]["who"], "corrupted")


# ---- streams


def test_stream_drained():
    """The server ends its side and reads on, as it should: every stream ends well and is opened again."""
    def serve(connection):
        for _ in range(5):
            connection.sendall(connection.recv(65536))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--streams", "5", "--stream-interval", "2ms",
                            "--stream-linger", "50ms", code=0, duration="1s")
    streams = report["modes"]["streams"]
    only(streams, "ok")
    assert streams["ended_by_server"] > 10
    assert streams["ended_by_us"] <= 5


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_stream_closed_instead_of_drained(family):
    """
    Orderly to look at, but the server does not read on: what the client sends then is answered by a reset. Streams that the
    run's end came to before that would end well.
    """
    def serve(connection):
        for _ in range(5):
            connection.sendall(connection.recv(65536))
    with Server(serve, family) as server:
        report, _ = loadgen(server.target, "--streams", "5", "--stream-interval", "2ms", "--stream-linger", "1h",
                            "--no-reopen", code=1, duration="2s")
    streams = report["modes"]["streams"]
    only(streams, "reset")
    assert streams["held_before_reset_usec"]["count"] == 5


def test_stream_corrupted():
    def serve(connection):
        connection.sendall(connection.recv(65536))
        connection.sendall(connection.recv(65536)[1:])
        server.stopping.wait()
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--streams", "5", "--no-reopen", code=1)
    only(report["modes"]["streams"], "corrupted")


def test_stream_stalled():
    def serve(connection):
        connection.sendall(connection.recv(65536))
        server.stopping.wait()
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--streams", "5", "--timeout", "100ms", "--no-reopen", code=1)
    only(report["modes"]["streams"], "timed_out")


def test_stream_whose_end_is_not_answered():
    def serve(connection):
        echo(connection)
        server.stopping.wait()
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--streams", "5", "--timeout", "100ms", code=1)
    only(report["modes"]["streams"], "timed_out")


# ---- HTTP


def read_request(connection):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        if not (more := connection.recv(65536)):
            return None
        data += more
    return data


def http(reply, keep=True):
    def serve(connection):
        while read_request(connection) is not None:
            connection.sendall(reply)
            if not keep:
                return
    return serve


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Worker: slot=1 generation=3\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n"
TO_END = b"HTTP/1.0 200 OK\r\n\r\nhello"
CONTINUED = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + LENGTH


@pytest.mark.parametrize("reply", [LENGTH, CHUNKED, TO_END, CONTINUED])
def test_http(reply):
    with Server(http(reply, keep=False)) as server:
        report, _ = loadgen(server.target, "--http-rate", "200", "--http-body", "hello", code=0)
    only(report["modes"]["http"], "ok")
    assert report["modes"]["http"]["connections"] == 80


@pytest.mark.parametrize("reply", [LENGTH, CHUNKED])
def test_http_keep_alive(reply):
    """Who finds no idle connection makes one: all would, where the server gets no turn before the run is over."""
    with Server(http(reply)) as server:
        report, _ = loadgen(server.target, "--http-rate", "40", "--http-keep-alive", "4", code=0, duration="2s")
    only(report["modes"]["http"], "ok")
    assert report["modes"]["http"]["connections"] < 80
    assert report["modes"]["http"]["stale"] == 0
    if reply is LENGTH:
        assert report["servers"][0]["server"] == "slot=1 generation=3"
        assert report["servers"][0]["count"] == 80


def test_http_connection_close_is_believed():
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with Server(http(reply, keep=False)) as server:
        report, _ = loadgen(server.target, "--http-rate", "200", "--http-keep-alive", "4", code=0)
    only(report["modes"]["http"], "ok")
    assert report["modes"]["http"]["connections"] == 80
    assert report["modes"]["http"]["closed_idle"] == 0


def test_http_stale_connection_is_counted_and_retried():
    """The server takes the second request of a connection and closes without an answer, as if they had crossed."""
    def serve(connection):
        read_request(connection)
        connection.sendall(LENGTH)
        read_request(connection)
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--http-rate", "100", "--http-keep-alive", "1", code=0)
    only(report["modes"]["http"], "ok")
    assert report["modes"]["http"]["stale"] > 0


def test_http_kept_connection_closed_in_idleness():
    with Server(http(LENGTH, keep=False)) as server:
        report, _ = loadgen(server.target, "--http-rate", "50", "--http-keep-alive", "1", code=0)
    only(report["modes"]["http"], "ok")
    assert report["modes"]["http"]["closed_idle"] > 0


@pytest.mark.parametrize("reply, outcome", [
    (LENGTH[:-1], "cut"),
    (LENGTH[:30], "cut"),
    (b"", "cut"),
    (CHUNKED[:-2], "cut"),
    (LENGTH + b"!", "corrupted"),
    (LENGTH.replace(b"hello", b"jello"), "corrupted"),
    (LENGTH.replace(b"HTTP", b"HTML"), "corrupted"),
    (CHUNKED.replace(b"2\r\nhe", b"x\r\nhe"), "corrupted"),
    (CHUNKED.replace(b"2\r\nhe", b"1\r\nhe"), "corrupted"),
    (LENGTH.replace(b"Content-Length: 5", b"Content-Length: x"), "corrupted"),
    (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 5000 + b"\r\n\r\n", "corrupted"),
    (LENGTH.replace(b"200 OK", b"503 No"), "bad_status"),
])
def test_http_failures(reply, outcome):
    with Server(http(reply, keep=False)) as server:
        report, _ = loadgen(server.target, "--http-rate", "100", "--http-body", "hello", code=1)
    only(report["modes"]["http"], outcome)


def test_http_reset_on_a_new_connection_is_not_stale():
    def serve(connection):
        read_request(connection)
        reset(connection)
    with Server(serve) as server:
        report, _ = loadgen(server.target, "--http-rate", "100", "--http-keep-alive", "2", code=1)
    only(report["modes"]["http"], "reset")
    assert report["modes"]["http"]["stale"] == 0


# ---- UDP


def roomy(family):
    """A socket in which all datagrams of a run have room: they are not lost while this process waits for its turn."""
    new = socket.socket(family, socket.SOCK_DGRAM)
    new.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE if os.geteuid() == 0 else socket.SO_RCVBUF, 4 << 20)
    return new


class Datagrams:
    """Gives each datagram to `serve(server, data, peer)` in a thread."""

    def __init__(self, serve, family=socket.AF_INET):
        self.serve = serve
        self.number = 0
        self.host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self.socket = roomy(family)
        self.socket.bind((self.host, 0))
        self.port = self.socket.getsockname()[1]
        self.target = ("[%s]:%d" if family == socket.AF_INET6 else "%s:%d") % (self.host, self.port)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopping.is_set():
            if select.select([self.socket], [], [], 0.05)[0]:
                data, peer = self.socket.recvfrom(65536)
                self.number += 1
                self.serve(self, data, peer)

    def rebind(self):
        """Away for a moment, and with an empty queue again."""
        self.socket.close()
        self.stopping.wait(0.005)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.host, self.port))

    def answer(self, data, peer, who=b"slot=0 generation=1 pid=7"):
        self.socket.sendto(who + b"\n" + data, peer)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(10)
        self.socket.close()


def udp(serve, *arguments, code, family=socket.AF_INET, **options):
    with Datagrams(serve, family) as server:
        report, _ = loadgen(server.target, "--udp-rate", "1000", "--udp-flows", "8", *arguments, code=code, **options)
    return report


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_udp(family):
    report = udp(Datagrams.answer, code=0, family=family)
    found = report["modes"]["udp"]
    only(found, "ok")
    assert found["scheduled"] == 400
    assert found["flows_moved"] == 0 and found["moves"] == []
    assert found["flows_served_last_by"] == {"slot=0 generation=1 pid=7": 8}
    assert report["served_by"] == {"slot": {"0": 400}, "generation": {"1": 400}, "pid": {"7": 400}}


def test_udp_lost():
    report = udp(lambda server, data, peer: server.number % 10 and server.answer(data, peer), "--timeout", "1s", code=1)
    only(report["modes"]["udp"], "ok", "lost")
    assert report["modes"]["udp"]["counts"]["lost"] == 40


def test_udp_nobody_listens():
    with Datagrams(Datagrams.answer) as server:
        target = server.target
    report, errors = loadgen(target, "--udp-rate", "200", "--timeout", "100ms", code=1)
    only(report["modes"]["udp"], "lost")
    assert report["modes"]["udp"]["unreachable"] > 0
    assert errors == ""


def test_udp_socket_closed_and_bound_again():
    """What reloader is there to prevent."""
    def serve(server, data, peer):
        server.answer(data, peer)
        if server.number % 100 == 0:
            server.rebind()
    report = udp(serve, "--timeout", "200ms", code=1, duration="1s")
    only(report["modes"]["udp"], "ok", "lost")


def test_udp_window():
    """Of 400 that are due, and nobody answers, only so many are sent as may be awaited."""
    found = udp(lambda *_: None, "--udp-window", "8", "--finish", "50ms", code=1)["modes"]["udp"]
    assert (found["scheduled"], found["withheld"], found["counts"]["lost"]) == (8, 392, 8)


def test_udp_window_opens():
    """Whenever an answer comes; what was left out does not follow."""
    kept = []

    def serve(server, data, peer):
        kept.append((data, peer))
        while kept and server.number >= 8:
            server.answer(*kept.pop(0))
    found = udp(serve, "--udp-window", "8", code=0)["modes"]["udp"]
    only(found, "ok")
    assert found["scheduled"] + found["withheld"] == 400


def test_udp_lost_at_the_end_of_the_run():
    only(udp(lambda *_: None, "--finish", "50ms", code=1)["modes"]["udp"], "lost")


def test_udp_duplicate():
    def serve(server, data, peer):
        server.answer(data, peer)
        if server.number == 5:
            server.answer(data, peer)
    found = udp(serve, code=1)["modes"]["udp"]
    assert found["counts"]["duplicate"] == 1
    assert found["counts"]["ok"] == found["scheduled"] == 400


def test_udp_late():
    """The datagram was lost; its reply says nothing any more."""
    kept = []

    def serve(server, data, peer):
        if server.number == 5:
            kept.append((data, peer))
        else:
            server.answer(data, peer)
        if server.number == 1900:
            server.answer(*kept.pop())
    found = udp(serve, "--timeout", "1s", code=1, duration="2s")["modes"]["udp"]
    only(found, "ok", "lost")
    assert found["counts"]["lost"] == found["late"] == 1


def test_udp_swapped_flows():
    peers = {}

    def serve(server, data, peer):
        flow = int(data.split()[0])
        peers[flow] = peer
        server.answer(data, peers.get(flow ^ 1, peer) if server.number > 100 else peer)
    found = udp(serve, "--timeout", "1s", code=1)["modes"]["udp"]
    assert found["counts"]["wrong_flow"] == found["counts"]["lost"] == 300
    assert found["counts"]["ok"] == 100


@pytest.mark.parametrize("change", [
    lambda data: data[:-1],
    lambda data: data + b"!",
    lambda data: data[:-1] + bytes([data[-1] ^ 1]),
])
def test_udp_corrupted(change):
    report = udp(lambda server, data, peer: server.answer(change(data) if server.number == 9 else data, peer), code=1)
    only(report["modes"]["udp"], "ok", "corrupted")
    assert report["modes"]["udp"]["counts"]["corrupted"] == 1


@pytest.mark.parametrize("reply", [b"", b"who", b"who\n", b"who\nx y z", b"who\n0 800000 z", b"who\n1 0 x"])
def test_udp_no_reply(reply):
    """Belongs to no datagram: the one it was sent for is lost besides."""
    def serve(server, data, peer):
        if server.number == 9:
            server.socket.sendto(reply, peer)
        else:
            server.answer(data, peer)
    counts = udp(serve, "--timeout", "1s", code=1)["modes"]["udp"]["counts"]
    assert counts["corrupted"] == counts["lost"] == 1
    assert counts["ok"] == 399


def test_udp_flows_that_move():
    """Flow 3 is served by another one from its tenth datagram on, and flow 4 from its twentieth to its thirtieth."""
    seen = collections.Counter()

    def serve(server, data, peer):
        flow = int(data.split()[0])
        seen[flow] += 1
        other = flow == 3 and seen[flow] > 10 or flow == 4 and 20 < seen[flow] <= 30
        server.answer(data, peer, b"pid=2" if other else b"pid=1")
    report = udp(serve, code=0)
    found = report["modes"]["udp"]
    assert found["flows_moved"] == 2
    assert [(move["flow"], move["from"], move["to"]) for move in found["moves"]] == [
        (3, "pid=1", "pid=2"), (4, "pid=1", "pid=2"), (4, "pid=2", "pid=1")]
    # Datagrams are sent every 8 ms in each flow.
    assert [move["usec"] // 8000 for move in found["moves"]] == [10, 20, 30]
    assert [move["since_usec"] // 8000 for move in found["moves"]] == [9, 19, 29]
    assert all(move["usec"] < move["until_usec"] for move in found["moves"])
    assert found["flows_served_last_by"] == {"pid=1": 7, "pid=2": 1}
    assert report["served_by"] == {"pid": {"1": 350, "2": 50}}


def test_udp_replies_that_overtake_are_no_move():
    """Pairs of datagrams come back in the wrong order, and around them the flow moves once."""
    kept = []

    def serve(server, data, peer):
        who = b"pid=%d" % (1 + (int(data.split()[1]) >= 203))
        if server.number % 2:
            kept.append((data, peer, who))
        else:
            server.answer(data, peer, who)
            server.answer(*kept.pop())
    with Datagrams(serve) as server:
        report, _ = loadgen(server.target, "--udp-rate", "1000", "--udp-flows", "1", code=0)
    assert len(report["modes"]["udp"]["moves"]) == 1


def test_udp_worker():
    """The worker that the tests of the server use."""
    with Datagrams(Datagrams.answer) as gone:
        target = gone.target
    worker = subprocess.Popen([sys.executable, "-S", WORKERS / "udp.py", target])
    try:
        proc.wait_until(lambda: ":%04X " % gone.port in pathlib.Path("/proc/net/udp").read_text(), "the worker is bound")
        report, _ = loadgen(target, "--udp-rate", "2000", code=0)
    finally:
        worker.kill()
        worker.wait()
    assert report["served_by"]["pid"] == {str(worker.pid): 800}


# ---- control


def start(target, *arguments):
    process = subprocess.Popen([LOADGEN, "--target", target, *arguments], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr.readline() == b"loadgen: started\n"
    return process


def test_stops_at_sigterm():
    with Server(echo) as server:
        process = start(server.target, "--echo-rate", "100", "--streams", "2")
        process.terminate()
        report = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 0
    only(report["modes"]["echo"], "ok")
    only(report["modes"]["streams"], "ok")


def test_stops_at_end_of_file():
    with Server(echo) as server:
        process = start(server.target, "--echo-rate", "100", "--stop-on-eof")
        report = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 0
    only(report["modes"]["echo"], "ok")


@pytest.mark.parametrize("arguments, complaint", [
    ([], "--target is missing"),
    (["--target", "127.0.0.1:1"], "no mode is given"),
    (["--target", "example.org:1", "--streams", "1"], "--target example.org:1: "),
    (["--target", "127.0.0.1:1", "--streams", "0"], "--streams has a value"),
    (["--target", "127.0.0.1:1", "--duration", "5"], "--duration has a value"),
    (["--target", "127.0.0.1:1", "--echo-rate", "1", "more"], "more is no option"),
    (["--target", "unix:@x", "--udp-rate", "1"], "--udp-rate needs an IP address"),
    (["--nonsense"], "nonsense"),
])
def test_usage(arguments, complaint):
    process = subprocess.run([LOADGEN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    assert process.returncode == 2
    assert complaint in process.stderr.decode()
    assert process.stdout == b""
