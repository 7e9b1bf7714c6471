#!/usr/bin/python3
"""Reloads tcp-echo again and again under load: nobody may be refused, reset, timed out, cut or answered wrongly."""
import sys
import time

import common
from common import configs, isolation


def cases(directory, port):
    """name: (configuration, where the load goes)"""
    tcp = f"127.0.0.1:{port}"
    all_at_once = {"canary": False, "max_unavailable": "100%"}
    return {
        "tcp": (configs.echo(tcp), tcp),
        "ipv6": (configs.echo(f"[::1]:{port}"), f"[::1]:{port}"),
        "unix": (configs.echo(f"unix:{directory}/echo.sock"), f"unix:{directory}/echo.sock"),
        "abstract": (configs.echo(f"unix:@bench-{port}"), f"unix:@bench-{port}"),
        "ready-first": (configs.echo(tcp, reload={"order": "ready-first"}), tcp),
        "one-worker": (configs.echo(tcp, workers=1), tcp),
        "64-workers": (configs.echo(tcp, workers=64), tcp),
        "all-at-once": (configs.echo(tcp, reload=all_at_once), tcp),
    }


def run(name, options):
    with common.place() as directory:
        config, target = cases(directory, isolation.free_port())[name]
        config["programs"]["echo"]["command"].append("--who")
        with common.running(directory, config) as master:
            with common.MeasuredLoad(directory, target, options.rate, options.streams, who_rate=50,
                                     arguments=("--duration", "24h", "--stream-linger", options.linger)) as load:
                seconds = []
                for _ in range(options.reloads):
                    seconds.append(reload(master))
                    load.flow(options.pause)
                master.wait_drained(120)
                load.flow(0.2)
            check(master, load, options.reloads + 1)
    report(name, seconds, load.report)
    return load.report["ok"]


def reload(master):
    began = time.monotonic()
    master.expect_reload("committed", seconds=300)
    return time.monotonic() - began


def check(master, load, generation):
    if master.generation("echo") != generation:
        raise master.failure(f"not every reload made a generation: {master.generation('echo')}")
    if not any(f" generation={generation} " in server for server in load.servers()):
        raise master.failure("the last generation never served")


def report(name, seconds, result):
    print(f"{name}: {len(seconds)} reloads, each {common.spread(seconds, ' s')}")
    for mode, found in result["modes"].items():
        counts = ", ".join(f"{count} {kind}" for kind, count in found["counts"].items() if count or kind == "ok")
        latency = found["latency_usec"]
        print(f"  {mode}: {counts}; {found['failed']} failed; latency p50 {latency['p50']} us, p99 {latency['p99']} us, "
              f"max {latency['max']} us")
        for failure in found["first_failures"]:
            print(f"    {failure}")
    sys.stdout.flush()


def main():
    names = list(cases("", 0))
    parser = common.arguments(__doc__, reloads=100, rate=2000, streams=200, linger="500ms", pause=0.1)
    parser.add_argument("case", nargs="*", help="of: " + ", ".join(names) + "; default: all of them")
    options = parser.parse_args()
    for name in options.case:
        if name not in names:
            parser.error(f"no case {name}")
    good = [run(name, options) for name in options.case or names]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
