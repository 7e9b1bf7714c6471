#!/usr/bin/python3
"""
The HTTP gateway and what it costs the others: reloads of tcp-echo under load while the gateway is flooded and while nobody asks it, in
turns; and how many requests it answers in a second, with the CPU time that each takes from itself and from the master.
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

FLOODED = ["/stats", "/metrics", "/v1/status", "/readyz"]
ASKED = ["/healthz", "/stats", "/v1/status", "/metrics"]
PIPELINED = 16
LINE = b"HTTP/1.1 200 OK\r\n"


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def gateway_pid(master):
    status = master.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
    return status["gateway"]["program"]["slots"][0]["workers"][0]["pid"]


def read_streams(poll, streams, ended):
    while not ended.is_set():
        for fd, _ in poll.poll(0.1):
            if not streams[fd].recv(65536):
                poll.unregister(fd)


@contextlib.contextmanager
def event_streams(port, number):
    """Streams of events that are read as long as the with-block lasts."""
    with contextlib.ExitStack() as stack:
        streams, poll, ended = {}, stack.enter_context(select.epoll()), threading.Event()
        for _ in range(number):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            one.sendall(request("/events"))
            streams[one.fileno()] = one
            poll.register(one, select.EPOLLIN)
        thread = threading.Thread(target=read_streams, args=(poll, streams, ended))
        thread.start()
        yield
        ended.set()
        thread.join()


@contextlib.contextmanager
def flood(directory, port, options):
    """Requests on new connections, and streams of events. When it is over, what it gives has what became of the requests."""
    answered = {}
    with contextlib.ExitStack() as stack:
        loads = {path: common.MeasuredLoad(directory, f"127.0.0.1:{port}", 0, 0, http_rate=options.flood // len(FLOODED), name="flood" + path.replace("/", "-"),
                                           arguments=("--http-path", path, "--duration", "24h")) for path in FLOODED}
        for load in loads.values():
            stack.enter_context(load)
        stack.enter_context(event_streams(port, options.streams))
        yield answered
    answered.update({path: load.report["modes"]["http"] for path, load in loads.items()})


def delays(master):
    return {bucket.get("most_usec", float("inf")): bucket["count"] for bucket in master.status()["master"]["loop_delays"]}


def turn(master, options):
    """Of some reloads: how long they took, how much of a CPU the master, and which bound 99.9 % of its loop's turns kept, in ms."""
    seconds, counts, cpu, began = [], delays(master), common.cpu_seconds(master.pid), time.monotonic()
    for _ in range(options.reloads):
        start = time.monotonic()
        master.expect_reload("committed", seconds=300)
        seconds.append(time.monotonic() - start)
    share = (common.cpu_seconds(master.pid) - cpu) / (time.monotonic() - began) * 100
    found = {bound: count - counts[bound] for bound, count in delays(master).items()}
    bound = min(bound for bound, count in found.items() if count >= 0.999 * found[float("inf")])
    return statistics.median(seconds), share, bound / 1000


def reloads(directory, options):
    echo, port = isolation.free_port(), isolation.free_port()
    found, answered = {"alone": [], "flooded": []}, {}
    with common.running(directory, {**configs.echo(f"127.0.0.1:{echo}"), "gateway": {"listen": f"127.0.0.1:{port}"}}) as master:
        gateway_pid(master)
        with common.MeasuredLoad(directory, f"127.0.0.1:{echo}", options.rate, options.streams, arguments=("--duration", "24h")) as load:
            for _ in range(options.turns):
                found["alone"].append(turn(master, options))
                with flood(directory, port, options) as answered:
                    found["flooded"].append(turn(master, options))
            master.wait_drained(120)
    for name, turns in found.items():
        seconds, shares, bounds = zip(*turns)
        print(f"gateway {name}: reloads of {common.spread(seconds, ' s')}; master {common.spread(shares, ' %', 1)} of a CPU; "
              f"99.9 % of its loop's turns waited at most {common.spread(bounds, ' ms', 1)}")
    print("  ratio of the reloads:", common.spread([flooded[0] / alone[0] for alone, flooded in zip(found["alone"], found["flooded"])]))
    for path, mode in answered.items():
        print(f"  last flood, {path}: {mode['counts']['ok']} ok, {mode['failed']} failed, p99 {mode['latency_usec']['p99']} us")
    print("  failed of the load on tcp-echo:", {name: mode["failed"] for name, mode in load.report["modes"].items()})
    return load.report["ok"]


def is_whole(answers):
    """Is the last one there to its end?"""
    head, _, body = answers[answers.rindex(LINE):].partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return lengths and len(body) == int(lengths[0])


def ask(connection, path, times):
    """So many, some one behind the other."""
    for _ in range(times // PIPELINED):
        connection.sendall(request(path) * PIPELINED)
        answers = b""
        while answers.count(LINE) < PIPELINED or not is_whole(answers):
            answers += connection.recv(1 << 20)


def requests(directory, options):
    port = isolation.free_port()
    with common.running(directory, {**configs.echo(f"127.0.0.1:{isolation.free_port()}"), "gateway": {"listen": f"127.0.0.1:{port}"}}) as master:
        pids = gateway_pid(master), master.pid
        for path in ASKED:
            found = []
            with socket.create_connection(("127.0.0.1", port), 20) as connection:
                for _ in range(options.turns):
                    before = time.monotonic(), *map(common.cpu_seconds, pids)
                    ask(connection, path, options.requests)
                    after = time.monotonic(), *map(common.cpu_seconds, pids)
                    found.append([(b - a) / options.requests for a, b in zip(before, after)])
            took, gateway, of_master = zip(*found)
            print(f"{path}: {common.spread([1 / one for one in took], ' a second', 0)}; CPU for each: gateway "
                  f"{common.spread([one * 1e6 for one in gateway], ' us', 1)}, master {common.spread([one * 1e6 for one in of_master], ' us', 2)}")


def main():
    options = common.arguments(__doc__, turns=5, reloads=5, rate=1000, flood=1000, streams=100, requests=3200).parse_args()
    with common.place() as directory:
        good = reloads(directory, options)
    with common.place() as directory:
        requests(directory, options)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
