#!/usr/bin/python3
"""
The HTTP gateway and what it costs the others: reloads of tcp-echo under load with a gateway that is flooded and one that is left alone,
in turns; what it serves in a second; the memory of a stream of events; the master's CPU for a request.
"""
import contextlib
import select
import socket
import statistics
import sys
import threading
import time

import common
from common import configs, isolation

PATHS = ["/stats", "/metrics", "/v1/status", "/readyz"]
PIPELINED = 16


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def gateway_pid(master):
    status = master.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
    return status["gateway"]["program"]["slots"][0]["workers"][0]["pid"]


class Streams:
    """Streams of events that are read as long as the with-block lasts."""

    def __init__(self, port, number):
        self._poll, self._ended = select.epoll(), False
        self._sockets = {}
        for _ in range(number):
            one = socket.create_connection(("127.0.0.1", port), 20)
            one.sendall(request("/events"))
            if not one.recv(65536).startswith(b"HTTP/1.1 200"):
                raise AssertionError("no stream")
            self._sockets[one.fileno()] = one
            self._poll.register(one, select.EPOLLIN)
        self._thread = threading.Thread(target=self._read)

    def _read(self):
        while not self._ended:
            for fd, _ in self._poll.poll(0.1):
                if not self._sockets[fd].recv(65536):
                    self._poll.unregister(fd)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended = True
        self._thread.join()
        for one in self._sockets.values():
            one.close()
        self._poll.close()


@contextlib.contextmanager
def flood(directory, port, options):
    """All that a gateway is asked for, on new connections, and streams of events. Adds how it went to what it gives."""
    answered = {}
    with contextlib.ExitStack() as stack:
        loads = {}
        for path in PATHS:
            arguments = ("--http-path", path, "--duration", "24h", "--timeout", "30s")
            loads[path] = stack.enter_context(common.MeasuredLoad(directory, f"127.0.0.1:{port}", 0, 0, http_rate=options.flood // len(PATHS),
                                                                  arguments=arguments, name="flood" + path.replace("/", "-")))
        stack.enter_context(Streams(port, options.streams))
        yield answered
    answered.update({path: load.report["modes"]["http"]["counts"] for path, load in loads.items()})


def timed_reloads(master, number, loads):
    seconds = []
    for _ in range(number):
        began = time.monotonic()
        master.expect_reload("committed", seconds=300)
        seconds.append(time.monotonic() - began)
        loads.flow(0.1)
    return seconds


def reloads(directory, options):
    """Turn by turn without and with the flood."""
    ports = isolation.free_port(), isolation.free_port()
    config = {**configs.echo(f"127.0.0.1:{ports[0]}"), "gateway": {"listen": f"127.0.0.1:{ports[1]}"}}
    config["programs"]["echo"]["command"].append("--who")
    with common.running(directory, config) as master:
        gateway_pid(master)
        found = {"alone": [], "flooded": []}
        with common.MeasuredLoad(directory, f"127.0.0.1:{ports[0]}", options.rate, 100, arguments=("--duration", "24h")) as load:
            for _ in range(options.turns):
                found["alone"].append(turn(master, load, options))
                with flood(directory, ports[1], options) as answered:
                    found["flooded"].append(turn(master, load, options))
            master.wait_drained(120)
        for name, turns in found.items():
            print(f"reload, gateway {name}: {common.spread([one[0] for one in turns], ' s')}; master {common.spread([one[1] * 100 for one in turns], ' %', 1)} of a CPU")
        ratios = [flooded[0] / alone[0] for alone, flooded in zip(found["alone"], found["flooded"])]
        print(f"  ratio {common.spread(ratios, '', 2)}; {common.loop_delay(master)}")
        print("  the last flood:", "; ".join(f"{path} " + ", ".join(f"{n} {kind}" for kind, n in counts.items() if n) for path, counts in answered.items()))
        failed = {name: mode["failed"] for name, mode in load.report["modes"].items()}
        print("  failed of the load on tcp-echo:", failed)
    return load.report["ok"]


def turn(master, load, options):
    """The median reload, and how much of a CPU the master took."""
    before, began = common.cpu_seconds(master.pid), time.monotonic()
    seconds = timed_reloads(master, options.reloads, load)
    return statistics.median(seconds), (common.cpu_seconds(master.pid) - before) / (time.monotonic() - began)


def ask(connection, path, times):
    """So many requests, some one behind the other; bodies without a line that begins as an answer does."""
    for _ in range(times // PIPELINED):
        connection.sendall(request(path) * PIPELINED)
        answers = b""
        while answers.count(b"HTTP/1.1 200 OK\r\n") < PIPELINED or not is_whole(answers):
            answers += connection.recv(1 << 20)


def is_whole(answers):
    head, _, body = answers[answers.rindex(b"HTTP/1.1 200 OK\r\n"):].partition(b"\r\n\r\n")
    length = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return length and len(body) == int(length[0])


def requests(directory, options):
    port = isolation.free_port()
    config = {**configs.echo(f"127.0.0.1:{isolation.free_port()}"), "gateway": {"listen": f"127.0.0.1:{port}"}}
    with common.running(directory, config) as master:
        pid = gateway_pid(master)
        for path in ["/healthz", "/stats", "/v1/status", "/metrics"]:
            rates, cpu, of_master = [], [], []
            with socket.create_connection(("127.0.0.1", port), 20) as connection:
                for _ in range(5):
                    before = time.monotonic(), common.cpu_seconds(pid), common.cpu_seconds(master.pid)
                    ask(connection, path, options.requests)
                    after = time.monotonic(), common.cpu_seconds(pid), common.cpu_seconds(master.pid)
                    seconds, of_gateway, master_seconds = (b - a for a, b in zip(before, after))
                    rates.append(options.requests / seconds)
                    cpu.append(of_gateway / options.requests * 1e6)
                    of_master.append(master_seconds / options.requests * 1e6)
            print(f"{path}: {common.spread(rates, ' a second', 0)}; CPU for each: gateway {common.spread(cpu, ' us', 1)}, "
                  f"master {common.spread(of_master, ' us', 1)}")
        before = common.pss_kib(pid), common.pss_kib(master.pid)
        with Streams(port, options.many_streams):
            after = common.pss_kib(pid), common.pss_kib(master.pid)
            print(f"{options.many_streams} streams of events: {(after[0] - before[0]) / options.many_streams:.1f} KiB each in the gateway, "
                  f"{(after[1] - before[1]) / options.many_streams:.2f} KiB in the master")
        print(f"the gateway when they have gone: {common.pss_kib(pid)} KiB, before: {before[0]} KiB")


def main():
    options = common.arguments(__doc__, turns=5, reloads=5, rate=1000, flood=2000, streams=300, requests=3200, many_streams=1000).parse_args()
    with common.place() as directory:
        good = reloads(directory, options)
    with common.place() as directory:
        requests(directory, options)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
