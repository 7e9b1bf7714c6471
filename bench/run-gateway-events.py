#!/usr/bin/python3
"""
1, 100 and 1,000 streams of /events, and a worker that says --events messages at once: what the gateway needs for each stream in memory, and
for each event in CPU time, alone and for each stream more. Then how often it wakes up for streams to which nothing happens.
"""
import contextlib
import selectors
import socket
import sys
import time

import common
from common import PYTHON, TOP, isolation, proc

TALKER = str(TOP / "tests" / "integration" / "workers" / "talker.py")
END = b'"got":"the end"'


def gateway_pid(master):
    def is_there(status):
        program = status["gateway"].get("program") or {"slots": []}
        return status["gateway"]["state"] == "READY" and [worker["pid"] for slot in program["slots"] for worker in slot["workers"]]
    status = master.wait(is_there, "the gateway is ready")
    return status["gateway"]["program"]["slots"][0]["workers"][0]["pid"]


def rss_kib(pid):
    return int(proc.field(pid, "VmRSS").split()[0])


def read_until(streams, mark, seconds=300):
    """All of them, to that mark. How many bytes that were."""
    total, deadline = 0, time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ, b"")
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(1):
                chunk = key.fileobj.recv(1 << 18)
                total += len(chunk)
                if not chunk or mark in key.data + chunk:
                    selector.unregister(key.fileobj)
                else:
                    selector.modify(key.fileobj, selectors.EVENT_READ, chunk[-len(mark):])
        if selector.get_map():
            sys.exit(f"{len(selector.get_map())} of {len(streams)} streams did not get {mark!r} within {seconds} s")
    return total


def connect(stack, address):
    stream = stack.enter_context(socket.create_connection(address, timeout=60))
    stream.sendall(f"GET /events HTTP/1.1\r\nHost: {address[0]}\r\n\r\n".encode())
    return stream


def measure(master, pid, address, n, options):
    """CPU seconds of the gateway for one event."""
    before = rss_kib(pid)
    with contextlib.ExitStack() as stack:
        streams = [connect(stack, address) for _ in range(n)]
        read_until(streams, b"event: hello")
        memory = rss_kib(pid) - before
        began, cpu = time.monotonic(), common.cpu_seconds(pid)
        master.call("Send", {"programs": ["talk"], "message": {"cmd": "storm"}})
        master.call("Send", {"programs": ["talk"], "message": "the end"})
        size = read_until(streams, END)
        cpu, took = common.cpu_seconds(pid) - cpu, time.monotonic() - began
        peak = int(proc.field(pid, "VmHWM").split()[0]) - before
        print(f"{n} streams: {memory / n:.1f} KiB each, at most {peak / n:.1f} in the storm; {options.events} events, {size / 1e6:.0f} MB, "
              f"in {took:.2f} s: {cpu / options.events * 1e6:.1f} us CPU for an event, {cpu / options.events / n * 1e6:.2f} for each of its streams")
        idle = common.context_switches(pid)
        time.sleep(options.seconds)
        print(f"{n} streams: woke up {common.context_switches(pid) - idle} times in {options.seconds} s in which nothing happened")
    return cpu / options.events


def main():
    options = common.arguments(__doc__, events=2000, seconds=5, streams=1000).parse_args()
    with common.place() as directory:
        port = isolation.free_port()
        config = {"gateway": {"listen": f"127.0.0.1:{port}"},
                  "programs": {"talk": {"command": [PYTHON, "-S", TALKER, f"--storm={options.events}"], "ready": "message"}}}
        with common.running(directory, config) as master:
            pid, address = gateway_pid(master), ("127.0.0.1", port)
            one, *_, many = [measure(master, pid, address, n, options) for n in (1, 100, options.streams)]
    print(f"an event for {options.streams} streams costs {many / one:.0f} times what one costs for a single stream")


if __name__ == "__main__":
    main()
