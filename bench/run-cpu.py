#!/usr/bin/python3
"""
CPU time per request of a server under reloader and of the same server alone: pairs of runs in turn, the median of their
ratios. The master is not in the data path, so there should be no difference, and it should use no CPU itself.
"""
import statistics
import subprocess

import common
from common import isolation, proc


def measure(pid, directory, target, options, mode):
    """CPU seconds per request of process `pid` under load."""
    rates = {"echo_rate": 0, "streams": 0, "http_rate": 0, mode: options.rate}
    load = common.Load(directory, target, arguments=("--duration", f"{options.seconds}s"), name=f"load{pid}", **rates)
    with load:
        before = common.cpu_seconds(pid)
        load.process.wait(options.seconds + 60)
        used = common.cpu_seconds(pid) - before
        load.stop()
    load.check()
    (found,) = load.report["modes"].values()
    return used / found["counts"]["ok"]


def alone(command, directory, options, mode):
    target = f"127.0.0.1:{isolation.free_port()}"
    process = subprocess.Popen([*command, target], stderr=subprocess.DEVNULL)
    try:
        proc.wait_until(lambda: proc.tcp_listeners(int(target.rpartition(":")[2])), "the server listens")
        return measure(process.pid, directory, target, options, mode)
    finally:
        process.kill()
        process.wait()


def wrapped(command, directory, options, mode):
    target = f"127.0.0.1:{isolation.free_port()}"
    program = {"command": [*command], "listen": target, "workers": 1}
    with common.running(directory, {"programs": {"server": program}}) as master:
        (pid,) = master.pids()
        before = common.cpu_seconds(master.pid)
        per_request = measure(pid, directory, target, options, mode)
        return per_request, common.cpu_seconds(master.pid) - before


def main():
    options = common.arguments(__doc__, rounds=7, seconds=4, rate=2000).parse_args()
    command = [common.BINARIES.tcp_echo]
    ratios, master_seconds, single = [], [], []
    with common.place() as directory:
        for _ in range(options.rounds):
            one = alone(command, directory, options, "echo_rate")
            other, master = wrapped(command, directory, options, "echo_rate")
            ratios.append(other / one)
            single.append(one * 1e6)
            master_seconds.append(master)
    print(f"tcp-echo, {options.rate} connections a second, {options.rounds} pairs:")
    print(f"  alone: {common.spread(single, ' us', 1)} CPU per connection")
    print(f"  under reloader: {common.spread(ratios)} times that")
    print(f"  the master itself: {statistics.median(master_seconds) * 1e6:.0f} us CPU in {options.seconds} s")


if __name__ == "__main__":
    main()
