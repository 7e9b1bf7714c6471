#!/usr/bin/python3
"""
10 writers of 1,000,000 numbered lines each through rotation, while reloader-log is killed 5 times: what became of each line. And how long
the master takes to answer while one worker prints as fast as it can into a rotated file and another into a full disk.
"""
import os
import select
import subprocess
import sys
import time

import common
from common import Master
from harness import output, proc

QUIET = {"command": ["sleep", "100000"], "stdout": "/dev/null"}  # its pipe keeps reloader-log alive


# So many MB of lines a second, in turns of 5 ms.
FLOOD = """
import os, sys, time
turn = int(sys.argv[1]) * 5000
chunk = (b"a line of output as a server may print it, neither very long nor very short".ljust(99) + b"\\n") * (turn // 100)
due = time.monotonic()
while True:
    left = memoryview(chunk)
    while left:
        left = left[os.write(1, left):]
    due += 0.005
    time.sleep(max(0, due - time.monotonic()))
"""


def pause(seconds):
    select.select([], [], [], seconds)


def kill_now_and_then(master, kills, seconds):
    for _ in range(kills):
        pause(seconds)
        output.kill_logger(master)


def run_lines(directory, options):
    path = directory / "%(process_num)s.log"
    config = {"programs": {"quiet": QUIET, "web": {
        "command": output.numbered(options.lines), "workers": options.writers, "restart": "never", "start_seconds": "0s",
        "stdout": {"path": str(path), "max_size": options.max_size, "backups": 1000}}}}
    master = Master(directory, config, name="lines")
    began = time.monotonic()
    kill_now_and_then(master, options.kills, options.pause)
    master.wait(lambda status: [slot["state"] for slot in master.slots("web", status)] == ["EXITED"] * options.writers, "all have printed all", 600)
    master.stop()
    seconds = time.monotonic() - began
    paths = [directory / f"{slot}.log" for slot in range(options.writers)]
    account = output.Account(options.writers, options.lines, paths)
    dropped, lost = output.said(master)
    files = sum(len(output.backups(one)) for one in paths)
    print(f"{options.writers} writers, {options.lines} lines each, {files} files, {options.kills} kills, {seconds:.1f} s: {account.missing} lines "
          f"({account.missing_bytes} bytes) missing; said to be dropped {dropped} bytes, lost at most {lost}; twice {len(account.twice)}, "
          f"torn {len(account.foreign)}, marked {len(account.cut)}, out of order {account.unsorted}")
    try:
        account.expect(dropped + lost, options.kills, options.writers)
    except AssertionError as error:
        print(error)
        return False
    return True


def answers(master, seconds):
    """How long the master took for each answer, in milliseconds."""
    took = []
    with master.connect() as connection:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            began = time.monotonic()
            connection.call("Version")
            took.append((time.monotonic() - began) * 1000)
            pause(0.001)
    return sorted(took)


def mount_small_disk(directory):
    disk = directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", str(disk)], check=True)
    return disk


def written(master):
    """Bytes that reloader-log has handed to files, as the kernel counts them."""
    text = proc.read(output.logger_of(master), "io").decode()
    return int(dict(line.split(": ") for line in text.splitlines())["wchar"])


def run_delay(directory, options):
    """As root: who is not cannot fill a disk of his own."""
    disk = mount_small_disk(directory)
    flood = [common.PYTHON, "-S", "-c", FLOOD, str(options.rate)]
    config = {"programs": {
        "fast": {"command": flood, "stdout": {"path": str(directory / "fast.log"), "max_size": "64M", "backups": 2}},
        "full": {"command": flood, "stdout": str(disk / "full.log")}}}
    quiet = {"programs": {"one": {**QUIET, "workers": 2}}}
    try:
        with common.running(directory, quiet) as master:
            alone = answers(master, options.seconds)
        with common.running(directory, config) as master:
            before = written(master)
            busy = answers(master, options.seconds)
            rate = (written(master) - before) / options.seconds / 1e6
            cpu = common.cpu_seconds(master.pid)
            delay = common.loop_delay(master)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    for name, took in (("nobody prints", alone), ("both print", busy)):
        print(f"answers of the master while {name}: {len(took)}, median {took[len(took) // 2]:.2f} ms, "
              f"p99.9 {took[len(took) * 999 // 1000]:.2f} ms, longest {took[-1]:.2f} ms")
    print(f"written meanwhile: {rate:.0f} MB/s; CPU of the master since its start: {cpu:.2f} s; {delay}")


def main():
    options = common.arguments(__doc__, writers=10, lines=1000000, kills=5, pause=0.5, max_size="8M", seconds=10, rate=200).parse_args()
    with common.place() as directory:
        good = run_lines(directory, options)
        if os.geteuid() == 0:
            run_delay(directory, options)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
