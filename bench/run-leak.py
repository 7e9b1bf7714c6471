#!/usr/bin/python3
"""Reloads a thousand times and compares what the master holds before and after: fds, memory, the listening socket."""
import collections
import re
import select
import sys

import common
from common import configs, isolation, proc


def holdings(master):
    """What its fds are, without the numbers that differ from one to the next of a kind."""
    return collections.Counter(re.sub(r"\d+", "N", what) for what in proc.fds(master.pid).values())


def look(master, port):
    master.wait_drained()
    # Connections of ours that have just ended are closed by the master, too.
    select.select([], [], [], 1)
    return holdings(master), proc.field(master.pid, "RssAnon"), proc.tcp_listeners(port)


def main():
    options = common.arguments(__doc__, reloads=1000, workers=4, warm_up=50).parse_args()
    with common.place() as directory:
        port = isolation.free_port()
        with common.running(directory, configs.echo(f"127.0.0.1:{port}", workers=options.workers)) as master:
            # The allocator's pools and the log's buffers reach their size first.
            for _ in range(options.warm_up):
                master.expect_reload("committed")
            before = look(master, port)
            for _ in range(options.reloads):
                master.expect_reload("committed")
            after = look(master, port)
            children = len(proc.children(master.pid))
    print(f"{options.reloads} reloads with {options.workers} workers")
    print(f"  fds: {sum(before[0].values())} before, {sum(after[0].values())} after; "
          f"more: {dict(after[0] - before[0])}; fewer: {dict(before[0] - after[0])}")
    print(f"  anonymous memory: {before[1]} before, {after[1]} after")
    print(f"  listening inodes: {before[2]} before, {after[2]} after")
    print(f"  children: {children}")
    sys.exit(0 if before[0] == after[0] and before[2] == after[2] and children == options.workers else 1)


if __name__ == "__main__":
    main()
