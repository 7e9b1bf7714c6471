"""What systemd does for a service with a .socket unit: sockets from descriptor 3 on, and the variables that tell of them."""
import socket

from harness.paths import PYTHON

LAUNCH = """
import fcntl, os, sys
names, numbers = sys.argv[1], [int(number) for number in sys.argv[2].split(",") if number]
safe = [fcntl.fcntl(number, fcntl.F_DUPFD, 200) for number in numbers]
for i, number in enumerate(safe):
    os.dup2(number, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(numbers)), LISTEN_FDNAMES=names)
os.execv(sys.argv[3], sys.argv[3:])
"""


def activated(*passed):
    """Options for master(): each of `passed` is (name, socket)."""
    numbers = [one.fileno() for _, one in passed]
    names = ":".join(name for name, _ in passed)
    return {"wrapper": [PYTHON, "-S", "-c", LAUNCH, names, ",".join(map(str, numbers))], "pass_fds": numbers}


def listen(address, backlog=100, family=None, dual=False):
    """A listening socket: address is (host, port), or the path of a Unix socket."""
    family = family or (socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
    one = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
    if family != socket.AF_UNIX:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(address)
    one.listen(backlog)
    return one
