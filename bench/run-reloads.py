#!/usr/bin/python3
"""
Reloads a server again and again under load: nobody may be refused, reset, timed out, cut or answered wrongly, and no datagram
lost. The server is tcp-echo, for the UDP cases workers/udp.py of the integration tests.
"""
import sys
import time

import common
from common import configs, isolation

PER_WORKER = {"sharing": "per_worker"}


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
        "per-worker": (configs.echo(tcp, PER_WORKER), tcp),
        "scm-rights": (configs.echo(tcp, handoff="scm-rights"), tcp),
        "udp": (configs.udp(tcp), tcp),
        "udp-per-worker": (configs.udp(tcp, PER_WORKER), tcp),
    }


def run(name, options):
    with common.place() as directory:
        config, target = cases(directory, isolation.free_port())[name]
        rates = {"echo_rate": options.rate, "streams": options.streams, "who_rate": 50}
        if "echo" in config["programs"]:
            config["programs"]["echo"]["command"].append("--who")
        else:
            rates = {"echo_rate": 0, "streams": 0, "udp_rate": options.rate}
        with common.running(directory, config) as master:
            with common.MeasuredLoad(directory, target, **rates,
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
    if master.generation() != generation:
        raise master.failure(f"not every reload made a generation: {master.generation()}")
    if not any(f" generation={generation} " in server for server in load.servers()):
        raise master.failure("the last generation never served")


def report(name, seconds, result):
    print(f"{name}: {len(seconds)} reloads, each {common.spread(seconds, ' s')}")
    for mode, found in result["modes"].items():
        counts = ", ".join(f"{count} {kind}" for kind, count in found["counts"].items() if count or kind == "ok")
        latency = found["latency_usec"]
        print(f"  {mode}: {counts}; {found['failed']} failed; latency p50 {latency['p50']} us, p99 {latency['p99']} us, "
              f"max {latency['max']} us")
        if "flows" in found:
            print(f"    {found['flows_moved']} of {found['flows']} flows changed their worker, {len(found['moves'])} times in all")
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
