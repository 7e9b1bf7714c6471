#!/usr/bin/python3
"""Watches an idle master: how often it woke up, how many threads it has, what memory is its own."""
import select
import sys

import common
from common import configs, isolation, proc


def others_that_map(library, pid):
    """Processes that share the library's pages with this one, and so make its PSS smaller."""
    return sum(library in maps for maps in (proc.maps(other) for other in proc.pids() if other != pid))


def main():
    options = common.arguments(__doc__, seconds=30, workers=4).parse_args()
    with common.place() as directory:
        listen = f"127.0.0.1:{isolation.free_port()}"
        with common.running(directory, configs.echo(listen, workers=options.workers)) as master:
            master.expect_reload("committed")
            master.wait_drained()
            # Our own connections to it come to their end.
            select.select([], [], [], 1)
            before = common.context_switches(master.pid), common.cpu_seconds(master.pid)
            select.select([], [], [], options.seconds)
            switches = common.context_switches(master.pid) - before[0]
            cpu = common.cpu_seconds(master.pid) - before[1]
            threads, pss, rss = proc.field(master.pid, "Threads"), common.pss_kib(master.pid), proc.field(master.pid, "VmRSS")
        sharing = others_that_map("libsystemd", master.pid)
    print(f"idle for {options.seconds} s with {options.workers} workers: {switches} context switches, {cpu * 1e6:.0f} us CPU, "
          f"{threads} thread(s), PSS {pss} KiB ({sharing} other processes share libsystemd with it), RSS {rss}")
    sys.exit(0 if switches == 0 and threads == "1" else 1)


if __name__ == "__main__":
    main()
