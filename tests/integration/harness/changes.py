"""A master whose configuration changes, and what is true of it before and after, as /proc has it."""
import ctypes
import os
import socket

from harness import BINARIES, configs, isolation, proc

SYS_PIDFD_GETFD = 438


def program(*sockets, workers=2, command=None, **keys):
    """tcp-echo on named sockets; or another command."""
    return {"command": command or [BINARIES.tcp_echo], "sockets": list(sockets), "workers": workers,
            "environment": configs.WORKER_ENVIRONMENT, "max_draining": 100, **keys}


def at(port, **keys):
    return {"listen": f"127.0.0.1:{port}", **keys}


def ports(count):
    """So many in a row, all free."""
    return isolation.free_ports(count)


def inode(port):
    """Of the one socket that listens there."""
    (found,) = proc.tcp_listeners(port)
    return found


def is_refused(port):
    """Does nobody listen there?"""
    with socket.socket() as client:
        client.settimeout(20)
        return client.connect_ex(("127.0.0.1", port)) != 0


def held(pid):
    """Inodes of the TCP sockets that a process has and that listen."""
    listening = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as lines:
            listening |= {int(words[9]) for words in map(str.split, list(lines)[1:]) if words[3] == "0A"}
    sockets = {int(what[8:-1]) for what in proc.fds(pid).values() if what.startswith("socket:[")}
    return sockets & listening


def borrow(pid, port):
    """A duplicate of the socket that a process has at that port, to be asked for its options."""
    wanted = f"socket:[{inode(port)}]"
    number = next(fd for fd, what in proc.fds(pid).items() if what == wanted)
    pidfd = os.pidfd_open(pid)
    try:
        fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return socket.socket(fileno=fd)
    finally:
        os.close(pidfd)


def names(pid):
    """What a worker's sockets are called."""
    return proc.environment(pid)["LISTEN_FDNAMES"].split(":")


def at_rest(status):
    """Nobody comes or goes."""
    return status["reload"]["state"] in ("none", "ended") and all(
        entry["state"] in ("READY", "STOPPED") and len(entry["slots"]) == entry["workers"] and
        all([worker["state"] for worker in slot["workers"]] == ["READY"] for slot in entry["slots"])
        for entry in status["programs"])


class Facts:
    """What there is of a master when it is at rest: whose pids, which sockets, how many descriptors."""

    def __init__(self, one):
        status = one.wait(at_rest, "nobody comes or goes", 30)
        self.pids = {entry["name"]: [worker["pid"] for slot in entry["slots"] for worker in slot["workers"]]
                     for entry in status["programs"]}
        known = {entry["inode"] for entry in status["listeners"]}
        proc.wait_until(lambda: held(one.pid) <= known, "no listening socket is left over")
        self.listening = held(one.pid)
        # Whatever it says, nobody else is there for long: a check_command that has passed, or a hook, is in no status.
        self.children = sorted(pid for pids in self.pids.values() for pid in pids)
        proc.wait_until(lambda: sorted(proc.children(one.pid)) == self.children, f"the workers are its only children: {status}")
        one.descriptors()
        # Directories are held as long as a generation, or an undo, may need them; that is not ours to count.
        self.descriptors = len([what for what in proc.fds(one.pid).values() if not what.startswith("/")])
        self.generations = {entry["name"]: entry["generation"] for entry in status["programs"]}

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return str(vars(self))
