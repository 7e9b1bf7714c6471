#!/usr/bin/python3
"""
CPU time per request of a server under reloader and of the same server alone: pairs of runs in turn, the median of their
ratios. The master is not in the data path, so there should be no difference, and it should use no CPU itself.
"""
import shutil
import statistics
import subprocess
import sys

import common
from common import isolation, proc

NGINX_CONFIG = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/1; proxy_temp_path {directory}/2; fastcgi_temp_path {directory}/3;
    uwsgi_temp_path {directory}/4; scgi_temp_path {directory}/5;
    server {{ listen {target}; return 200 "hello\\n"; }}
}}
"""


class Echo:
    """examples/tcp-echo, short connections."""
    mode = "echo_rate"
    program = {}

    def wrapped(self, _directory, _target):
        return [common.BINARIES.tcp_echo]

    def alone(self, _directory, target):
        return [common.BINARIES.tcp_echo, target]

    def serving(self, pid):
        return pid


class Nginx:
    """
    One nginx worker process, a connection for each GET. NGINX names inherited sockets, which it expects to be non-blocking;
    it crashes on them without a master process of its own, so there is one.
    """
    mode = "http_rate"
    program = {"environment": {"NGINX": "3;"}, "start_seconds": "200ms"}

    def __init__(self, path):
        self.path = path

    def wrapped(self, directory, target):
        config = directory / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(directory=directory, target=target))
        return [self.path, "-c", str(config)]

    alone = wrapped

    def serving(self, pid):
        proc.wait_until(lambda: proc.children(pid), "nginx has its worker")
        return proc.children(pid)[0]


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


def alone(server, directory, options):
    target = f"127.0.0.1:{isolation.free_port()}"
    process = subprocess.Popen(server.alone(directory, target), stderr=subprocess.DEVNULL)
    try:
        proc.wait_until(lambda: proc.tcp_listeners(int(target.rpartition(":")[2])), "the server listens")
        return measure(server.serving(process.pid), directory, target, options, server.mode)
    finally:
        process.terminate()
        process.wait()


def wrapped(server, directory, options):
    target = f"127.0.0.1:{isolation.free_port()}"
    program = {"command": server.wrapped(directory, target), "sockets": ["server"], "workers": 1, **server.program}
    config = {"sockets": {"server": {"listen": target, "nonblocking": True}}, "programs": {"server": program}}
    with common.running(directory, config) as master:
        (pid,) = master.pids()
        before = common.cpu_seconds(master.pid)
        per_request = measure(server.serving(pid), directory, target, options, server.mode)
        return per_request, common.cpu_seconds(master.pid) - before


def run(name, server, options):
    ratios, master_seconds, single = [], [], []
    with common.place() as directory:
        for _ in range(options.rounds):
            one = alone(server, directory, options)
            other, master = wrapped(server, directory, options)
            ratios.append(other / one)
            single.append(one * 1e6)
            master_seconds.append(master)
    print(f"{name}, {options.rate} requests a second, each on a connection of its own, {options.rounds} pairs:")
    print(f"  alone: {common.spread(single, ' us', 1)} CPU per request")
    print(f"  under reloader: {common.spread(ratios)} times that")
    print(f"  the master itself: {statistics.median(master_seconds) * 1e6:.0f} us CPU in {options.seconds} s", flush=True)


def main():
    found = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    options = common.arguments(__doc__, rounds=7, seconds=4, rate=2000, nginx=found or "nginx").parse_args()
    run("tcp-echo", Echo(), options)
    if not shutil.which(options.nginx):
        sys.exit(f"no {options.nginx}: install Debian's nginx, or name one by --nginx, to have HTTP as well")
    run("nginx", Nginx(options.nginx), options)


if __name__ == "__main__":
    main()
