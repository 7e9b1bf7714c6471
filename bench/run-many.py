#!/usr/bin/python3
"""
From 10 workers of one program to 1,000 of 200: how long start, status, reload and stop take, and what each worker costs the master.

Workers are sleep(1), so that there is next to nothing but the master to be measured.
"""
import sys
import time

import common
from common import proc

CASES = [(10, 1), (100, 1), (100, 20), (1000, 10), (1000, 200)]


def config(workers, programs):
    each = {"command": ["sleep", "1000000"], "workers": workers // programs, "start_seconds": 0, "drain": "signal",
            "reload": {"max_unavailable": "100%"}}
    return {"programs": {f"p{i}": each for i in range(programs)}}


def timed(act):
    began = time.monotonic()
    act()
    return time.monotonic() - began


def measure(directory, workers, programs):
    began = time.monotonic()
    with common.running(directory, config(workers, programs)) as master:
        start = time.monotonic() - began
        start_cpu = common.cpu_seconds(master.pid)
        status = min(timed(lambda: master.ctl("status", code=0)) for _ in range(5))
        pss = common.pss_kib(master.pid)
        before = common.cpu_seconds(master.pid)
        reload_seconds = timed(lambda: master.expect_reload("committed", 300))
        reload_cpu = common.cpu_seconds(master.pid) - before
        stop = timed(lambda: master.ctl("stop", "all", code=0, seconds=300))
        assert not proc.children(master.pid)
        delay = common.loop_delay(master)
    print(f"{workers:6} {programs:9} {start:8.2f} {status * 1e3:10.1f} {reload_seconds:9.2f} {stop:7.2f} {start_cpu * 1e6 / workers:13.0f} "
          f"{reload_cpu * 1e6 / workers:14.0f} {pss / workers:12.1f}  {delay}", flush=True)


def main():
    options = common.arguments(__doc__, repeat=1).parse_args()
    print("workers programs  start s  status ms  reload s  stop s  us/start each  us/reload each  PSS KiB each")
    for _ in range(options.repeat):
        for workers, programs in CASES:
            with common.place() as directory:
                measure(directory, workers, programs)


if __name__ == "__main__":
    sys.exit(main())
