#!/usr/bin/python3
"""
What sharing: per_worker is for, with four tcp-echo workers: how evenly clients are spread compared with one shared socket; who
waits while a slot has no worker for five seconds; reloads and scaling 4, 8, 2, 4 under load, over TCP and UDP.
"""
import os
import signal
import sys
import time

import common
from common import configs, isolation

PER_WORKER = {"sharing": "per_worker"}
DOWN = 5  # seconds


def answers(load):
    """{slot: answers}, the slots in order, those without any too."""
    served = load.served_by("slot")
    return {slot: served.get(str(slot), 0) for slot in range(max(4, 1 + max(map(int, served), default=0)))}


def ratio(counts):
    return "one got none" if min(counts) == 0 else f"{max(counts) / min(counts):.2f} : 1"


def outcome(report):
    good = True
    for mode, found in report["modes"].items():
        counts = ", ".join(f"{count} {kind}" for kind, count in found["counts"].items() if count or kind == "ok")
        print(f"    {mode}: {counts}")
        for failure in found["first_failures"]:
            print(f"      {failure}")
        good = good and found["failed"] == 0
    sys.stdout.flush()
    return good


def waiting(load, mode):
    found = load.waited(mode)
    return (f"p50 {found['p50']} us, p99 {found['p99']} us, max {found['max'] / 1000:.1f} ms; waited more than 10 ms: "
            f"{found['above_10ms']}, 100 ms: {found['above_100ms']}, 1 s: {found['above_1s']}")


def echo(target, socket, **program):
    config = configs.echo(target, socket, **program)
    config["programs"]["echo"]["command"].append("--who")
    return config


def asking(directory, target, options, **rates):
    """Questions who serves, each on a connection of its own; more of `rates` beside them."""
    rates = {"echo_rate": 0, "streams": 0, "who_rate": options.rate, **rates}
    return common.MeasuredLoad(directory, target, arguments=("--duration", "24h"), **rates)


def spread(options):
    """The same questions to one shared socket and to one for each slot."""
    print(f"spread over 4 slots, {options.rate} connections a second for {options.seconds} s:")
    good = True
    for name, socket in (("shared", {}), ("per_worker", PER_WORKER)):
        with common.place() as directory:
            target = f"127.0.0.1:{isolation.free_port()}"
            with common.running(directory, echo(target, socket)), asking(directory, target, options) as load:
                load.flow(options.seconds)
            counts = list(answers(load).values())
            print(f"  {name}: {counts}, {ratio(counts)}; {waiting(load, 'who')}")
            good = outcome(load.report) and good
    return good


def crash(options):
    """Slot 0 dies and comes back five seconds later; beside it the same run where nobody dies."""
    print(f"slot 0 of 4 without a worker for {DOWN} s, {options.rate} connections a second:")
    for name in ("all is well", "slot 0 killed"):
        with common.place() as directory:
            target = f"127.0.0.1:{isolation.free_port()}"
            backoff = {"initial": f"{DOWN}s", "max": f"{DOWN}s", "jitter": 0}
            with common.running(directory, echo(target, PER_WORKER, backoff=backoff)) as master:
                pid = master.pids()[0]
                with asking(directory, target, options) as load:
                    load.flow(1)
                    if name != "all is well":
                        os.kill(pid, signal.SIGKILL)
                    load.flow(DOWN)
                    master.wait_ready()
                    load.flow(1)
                served = load.served_by("pid").get(str(pid), 0)
            print(f"  {name}: {list(answers(load).values())} answers, {served} of them by the first worker of slot 0; {waiting(load, 'who')}")
            outcome(load.report)
    print("  (what the dead worker had accepted is reset: nobody can mend that)")
    return True


def took(seconds):
    return f"{len(seconds)} reloads" + (f", each {common.spread(seconds, ' s')}" if seconds else "")


def reload_and_scale(master, load, options, program, seconds):
    for _ in range(options.reloads):
        began = time.monotonic()
        master.expect_reload("committed", seconds=300)
        seconds.append(time.monotonic() - began)
        load.flow(options.pause)
    for workers in (8, 2, 4):
        program["workers"] = workers
        master.write()
        master.expect_reload("committed", seconds=300)
        load.flow(1)
    master.wait_drained(120)
    load.flow(0.2)


def reloads(options):
    """As run-reloads.py has it, and scaling."""
    with common.place() as directory:
        target, seconds = f"127.0.0.1:{isolation.free_port()}", []
        config = echo(target, PER_WORKER)
        with common.running(directory, config) as master:
            with asking(directory, target, options, echo_rate=options.rate, streams=200, who_rate=200) as load:
                reload_and_scale(master, load, options, config["programs"]["echo"], seconds)
    print(f"tcp, {took(seconds)}, then 8, 2 and 4 workers:")
    print(f"  answers by slot: {list(answers(load).values())}")
    return outcome(load.report)


def udp_drops(port):
    """Datagrams that the kernel dropped for want of room, of all sockets at the port."""
    with open("/proc/net/udp") as lines:
        rows = [line.split() for line in list(lines)[1:]]
    return sum(int(row[-1]) for row in rows if int(row[1].partition(":")[2], 16) == port)


def udp(options):
    """The same in datagrams. A flow stays with its slot while their number does."""
    with common.place() as directory:
        port, seconds = isolation.free_port(), []
        target = f"127.0.0.1:{port}"
        config = configs.udp(target, PER_WORKER)
        with common.running(directory, config) as master:
            with asking(directory, target, options, who_rate=0, udp_rate=options.rate) as load:
                reload_and_scale(master, load, options, config["programs"]["udp"], seconds)
                dropped = udp_drops(port)
    found = load.report["modes"]["udp"]
    print(f"udp, {took(seconds)}, then 8, 2 and 4 workers:")
    print(f"  answers by slot: {list(answers(load).values())}; {found['flows_moved']} of {found['flows']} flows changed their worker, "
          f"{len(found['moves'])} times; dropped by the kernel for want of room: {dropped}; {waiting(load, 'udp')}")
    return outcome(load.report)


CASES = {"spread": spread, "crash": crash, "reloads": reloads, "udp": udp}


def main():
    parser = common.arguments(__doc__, reloads=100, rate=1000, seconds=10, pause=0.1)
    parser.add_argument("case", nargs="*", help="of: " + ", ".join(CASES) + "; default: all of them")
    options = parser.parse_args()
    for name in options.case:
        if name not in CASES:
            parser.error(f"no case {name}")
    good = [CASES[name](options) for name in options.case or CASES]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
