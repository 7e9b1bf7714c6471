"""Each test in a network of its own (as root), on ports nobody else has, leaving no process behind."""
import contextlib
import ctypes
import fcntl
import os
import random
import signal
import socket
import stat
import struct

from harness import proc

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


# Children that stay from one test to the next, with all that descends from them.
LASTING = set()


def check(result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


@contextlib.contextmanager
def network_of(pid):
    """In the network namespace of another process."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    theirs = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        check(LIBC.setns(theirs, CLONE_NEWNET))
        yield
    finally:
        check(LIBC.setns(before, CLONE_NEWNET))
        os.close(theirs)
        os.close(before)


class Network:
    """A network namespace with nothing but loopback, entered by this process; or, for an ordinary user, the machine's."""

    def __init__(self):
        self._before = None
        if os.geteuid() == 0:
            self._before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            check(LIBC.unshare(CLONE_NEWNET))
            self.set_up()
        GIVEN.clear()

    @classmethod
    def set_up(cls):
        """Makes a new namespace fit for tests."""
        cls._loopback_up()
        cls._widen_ports()

    def leave(self):
        if self._before is not None:
            check(LIBC.setns(self._before, CLONE_NEWNET))
            os.close(self._before)

    @staticmethod
    def _loopback_up():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            request = struct.pack("16sH14x", b"lo", 0)
            flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))

    @staticmethod
    def _widen_ports():
        """Thousands of short connections leave as many ports in TIME_WAIT."""
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as setting:
            setting.write("20000 65000")


def open_the_way(path):
    """
    Tests run programs as an ordinary user, who has to reach `path`: a clone in root's home is behind a closed door.
    In a mount namespace of our own, that door is replaced by an empty directory with nothing but the way to `path`.
    """
    closed = next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & stat.S_IXOTH), None)
    if closed is None or os.geteuid() != 0:
        return
    check(LIBC.unshare(CLONE_NEWNS))
    check(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    here = os.getcwd()
    tree = os.open(path, os.O_PATH | os.O_CLOEXEC)
    check(LIBC.mount(b"tmpfs", os.fsencode(closed), b"tmpfs", 0, b"mode=0755"))
    path.mkdir(parents=True)
    check(LIBC.mount(f"/proc/self/fd/{tree}".encode(), os.fsencode(path), None, MS_BIND | MS_REC, None))
    os.close(tree)
    os.chdir(here)


# Ports that a test was given, or that follow such a one: what is free now is not free for somebody else later.
GIVEN = set()
# Of those that are given, browsers refuse to connect to these.
REFUSED = {10080}


def free_ports(count, family=socket.AF_INET):
    """So many TCP ports in a row, below those that clients get, free now, and not given to this test before."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    for _ in range(200):
        first = random.randrange(10000, 20000 - count)
        row = range(first, first + count)
        if GIVEN.union(REFUSED).intersection(row):
            continue
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for port in row:
                probes.enter_context(socket.socket(family, socket.SOCK_STREAM)).bind((host, port))
            GIVEN.update(row, [row.stop])
            return list(row)
    raise AssertionError("no free ports between 10000 and 20000")


def free_port(family=socket.AF_INET):
    return free_ports(1, family)[0]


def become_subreaper():
    """Whatever a test leaves behind becomes our child, and is found."""
    check(LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def die_with_parent():
    """To be called in a child: whatever ends us ends it."""
    check(LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def reap():
    """Collects children that have ended and that nobody waits for any more."""
    for pid in proc.children(os.getpid()):
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass


def kill_children():
    """Ends every process that descends from us, but for LASTING ones; returns what they were."""
    reap()
    left = [pid for pid in proc.descendants(os.getpid(), LASTING) if proc.is_running(pid)]
    described = [proc.describe(pid) for pid in left]
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for pid in left:
        proc.wait_gone(pid)
    for _ in range(8):
        if not set(proc.children(os.getpid())) - LASTING:
            break
        reap()
    return described
