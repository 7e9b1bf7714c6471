#!/usr/bin/python3
"""
Starts many workers: by reloader at its start, by reloader at a reload where all successors start at once, and by the bare loop
that does nothing but vfork, exec and wait until each is ready. In turns, in the same minute; ratios of medians.
"""
import json
import signal
import statistics
import subprocess
import time

import common
from common import configs, isolation

ALL_AT_ONCE = {"order": "ready-first", "max_surge": "100%", "canary": False}


def bare(options):
    output = subprocess.run([common.BARE_SPAWN, str(options.workers), common.BINARIES.tcp_echo], check=True,
                            capture_output=True, text=True).stdout
    return json.loads(output)["ready_seconds"]


def start_and_reload(options):
    with common.place() as directory:
        config = configs.echo(f"127.0.0.1:{isolation.free_port()}", workers=options.workers, reload=ALL_AT_ONCE)
        began = time.time()
        with common.running(directory, config, wait=False) as master:
            started = common.await_lines(master, ": ready after ", options.workers) - began
            began = time.time()
            master.kill(signal.SIGHUP)
            reloaded = common.await_lines(master, "reload 1 committed") - began
    return started, reloaded


def main():
    options = common.arguments(__doc__, workers=256, rounds=7).parse_args()
    times = {"bare loop": [], "start": [], "reload": []}
    for _ in range(options.rounds):
        times["bare loop"].append(bare(options))
        started, reloaded = start_and_reload(options)
        times["start"].append(started)
        times["reload"].append(reloaded)
    yardstick = statistics.median(times["bare loop"])
    print(f"{options.workers} workers until all are ready, {options.rounds} rounds:")
    for name, values in times.items():
        print(f"  {name}: {common.spread(values, ' s')}, {statistics.median(values) / yardstick:.2f} times the bare loop")


if __name__ == "__main__":
    main()
