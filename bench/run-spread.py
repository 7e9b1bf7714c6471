#!/usr/bin/python3
"""
What disconnect_spread is for: idle streams to several workers, one reload, and when each stream is ended by the server. Of workers that
keep what they have until disconnect_timeout, and of tcp-echo, which ends its connections itself; with and without a spread.
"""
import select
import socket
import sys
import time

import common
from common import PYTHON, configs
from harness.paths import WORKERS

WINDOW = 0.1  # seconds


def config(directory, command, options, spread):
    """Each slot has an address of its own, so that all have as many streams."""
    return {"sockets": {"echo": {"listen": f"unix:{directory}/%(process_num)s.sock"}},
            "programs": {"echo": {"command": command, "sockets": ["echo"], "workers": options.workers, "ready": "message",
                                  "environment": configs.WORKER_ENVIRONMENT, "disconnect_timeout": "500ms",
                                  "disconnect_spread": spread, "reload": {"order": "ready-first"}}}}


def connect(path):
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(path)
    stream.sendall(b"hello\n")
    if stream.recv(100) != b"hello\n":
        raise ConnectionError("no echo")
    return stream


def watch_ends(streams, seconds):
    """When each of them was ended; those that were not within the time are missing."""
    poll, by_fd, ends = select.poll(), {stream.fileno(): stream for stream in streams}, []
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + seconds
    while by_fd and time.monotonic() < deadline:
        for fd, _ in poll.poll(1000):
            ends.append(time.monotonic())
            poll.unregister(fd)
            by_fd.pop(fd).close()
    return ends


def busiest(ends):
    """The most that ended within any WINDOW."""
    most = first = 0
    for last, end in enumerate(ends):
        while ends[first] < end - WINDOW:
            first += 1
        most = max(most, last - first + 1)
    return most


def measure(make_command, options, spread):
    with common.place() as directory:
        record = directory / "record"
        with common.running(directory, config(directory, make_command(record), options, spread)) as master:
            streams = [connect(f"{directory}/{slot}.sock") for slot in range(options.workers)
                       for _ in range(options.streams // options.workers)]
            began = time.monotonic()
            master.expect_reload("committed")
            ends = watch_ends(streams, options.spread + 20)
    print(f"  {spread:>5}: {len(ends)} of {len(streams)} streams ended within {ends[-1] - began:.1f} s; "
          f"at most {busiest(ends)} within {WINDOW * 1000:.0f} ms")
    sys.stdout.flush()
    return busiest(ends), len(ends) == len(streams)


CASES = {
    "held": lambda record: [PYTHON, "-S", str(WORKERS / "stubborn.py"), str(record)],
    "tcp-echo": lambda record: [common.BINARIES.tcp_echo],
}


def run(name, options):
    print(f"{name}: {options.workers} workers, {options.streams} streams, disconnect_spread")
    without, all_ended = measure(CASES[name], options, "0s")
    spread, all_spread = measure(CASES[name], options, f"{options.spread}s")
    print(f"  ratio {without / spread:.1f}")
    return all_ended and all_spread


def main():
    parser = common.arguments(__doc__, workers=8, streams=800, spread=10)
    parser.add_argument("case", nargs="*", help="of: " + ", ".join(CASES) + "; default: all of them")
    options = parser.parse_args()
    for name in options.case:
        if name not in CASES:
            parser.error(f"no case {name}")
    good = [run(name, options) for name in options.case or CASES]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
