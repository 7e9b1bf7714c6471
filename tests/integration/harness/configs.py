"""Configurations that many tests begin with, and the commands of the test workers."""
import os

from harness.paths import BINARIES, PYTHON, WORKERS

# The search for leaks at a process's end stops for good when a signal comes meanwhile, and ours come then: so not in workers.
WORKER_ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=0"} if "ASAN_OPTIONS" in os.environ else {}


def echo(listen, socket=None, **program):
    """
    Four tcp-echo workers on one shared socket. `reload` options come as reload={…}, the socket's as socket={…}.
    Tests reload faster than their streams end, hence the many generations that may drain.
    """
    return {
        "sockets": {"echo": {"listen": str(listen), **(socket or {})}},
        "programs": {"echo": {"command": [BINARIES.tcp_echo], "sockets": ["echo"], "workers": 4,
                              "environment": WORKER_ENVIRONMENT, "max_draining": 100, **program}},
    }


def healthy_without(mark):
    """A worker that is ready at once, or fails where the file `mark` is; what it is shows no time."""
    script = f'[ -e "{mark}" ] && exit 9; echo \'"ready"\' >&$RELOADER_CHANNEL_FD; exec sleep 1000'
    return {"command": ["sh", "-c", script], "ready": "message"}


def udp(address, socket=None, **program):
    """Four workers that answer datagrams with who they are; see workers/udp.py."""
    return {
        "sockets": {"udp": {"listen": f"udp:{address}", **(socket or {})}},
        "programs": {"udp": {"command": [PYTHON, "-S", str(WORKERS / "udp.py")], "sockets": ["udp"], "workers": 4, **program}},
    }


def recorder(record, *options):
    """The command of a worker that writes down what happens to it; see workers/recorder.py."""
    return [PYTHON, "-S", str(WORKERS / "recorder.py"), str(record), *map(str, options)]


def fault(*options):
    """The command of a worker that misbehaves; see workers/fault.py."""
    return [PYTHON, "-S", str(WORKERS / "fault.py"), *map(str, options)]


def recorders(record, *options, workers=2, **program):
    """Recorders without a socket: ready when they say so, else after a short time alone."""
    says = any(option.startswith(("--ready", "--gate")) for option in map(str, options))
    return {"programs": {"rec": {"command": recorder(record, *options), "workers": workers, "start_seconds": "50ms",
                                 "ready": "message" if says else "auto", "reload": {"probation": "0s"}, **program}}}
