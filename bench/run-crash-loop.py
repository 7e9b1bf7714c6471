#!/usr/bin/python3
"""Workers that die as soon as they are started: what that costs the master, and whether a program beside them notices."""
import select
import sys

import common
from common import configs, isolation, proc


def main():
    options = common.arguments(__doc__, seconds=30, workers=100).parse_args()
    with common.place() as directory:
        listen = f"127.0.0.1:{isolation.free_port()}"
        config = configs.echo(listen, workers=2)
        config["programs"]["broken"] = {"command": ["/bin/false"], "workers": options.workers}
        with common.running(directory, config, wait=False) as master:
            master.wait(lambda _: len(master.pids("echo")) == 2, "tcp-echo is ready")
            before = common.cpu_seconds(master.pid)
            with common.MeasuredLoad(directory, listen, 500, 20) as load:
                select.select([], [], [], options.seconds)
            cpu = common.cpu_seconds(master.pid) - before
            starts = master.log.count("broken/.*: up")
    counts = [count for mode in load.report["modes"].values() for count in mode["counts"].items()]
    ok = sum(count for kind, count in counts if kind == "ok")
    failed = sum(count for kind, count in counts if kind != "ok")
    print(f"{options.workers} workers in a crash loop for {options.seconds} s: {starts} starts, {cpu:.2f} s CPU of the master "
          f"({cpu * 1e6 / max(starts, 1):.0f} us for each); beside it {ok} requests ok, {failed} failed")
    sys.exit(1 if failed or cpu >= 1 else 0)


if __name__ == "__main__":
    main()
