"""reloader-gateway by itself: who starts it is the test, which speaks the master's part on its channel."""
import contextlib
import http.client
import json
import os
import socket
import subprocess

from harness import activation, proc
from harness.paths import BUILD, PYTHON

BINARY = str(BUILD / "src" / "reloader" / "reloader-gateway")
IS_BUILT = os.access(BINARY, os.X_OK)

LAUNCH = """
import fcntl, os, resource, sys
listener, channel = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 5) for fd in sys.argv[1:3])
os.dup2(listener, 3)
os.dup2(channel, 4)
os.closerange(5, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="gateway", RELOADER_CHANNEL_FD="4", RELOADER_PROGRAM="gateway",
                  **dict(one.split("=", 1) for one in sys.argv[3].split()))
os.execv(sys.argv[4], sys.argv[4:])
"""


def password_file(text):
    fd = os.memfd_create("password", os.MFD_CLOEXEC)
    os.write(fd, text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Gateway:
    """Started, and told what the master would tell it. `control`: a connected socket, or the path of a master's control socket; none: one at
    whose other end nobody answers."""

    def __init__(self, directory, listener=None, username=None, password=None, public=(), control=None, environment="A=b", wrapper=(),
                 tell=True):
        self.listener = listener or activation.listen(("127.0.0.1", 0), backlog=4096)
        self.address = self.listener.getsockname()
        self.log = directory / "gateway.log"
        self.lines = b""
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.channel.settimeout(20)
        self.control, self.silent = self._control(control)
        with theirs, open(self.log, "ab") as log:
            fds = (self.listener.fileno(), theirs.fileno())
            self.process = subprocess.Popen(
                [PYTHON, "-S", "-c", LAUNCH, *map(str, fds), environment, *wrapper, BINARY],
                pass_fds=fds, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        if tell:
            self.tell(username, password, public)
            self.await_line("ready")

    @staticmethod
    def _control(control):
        if isinstance(control, socket.socket):
            return control, None
        if control:
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            one.connect(str(control))
            return one, None
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def tell(self, username=None, password=None, public=()):
        """What the master answers to {"cmd":"gateway"}."""
        self.await_line({"cmd": "gateway"})
        message = {"cmd": "gateway", "public": list(public), "password": password is not None}
        if username is not None:
            message["username"] = username
        self.say(message)
        self.pass_listener("control", self.control.fileno())
        if password is not None:
            fd = password_file(password)
            self.pass_listener("password", fd)
            os.close(fd)

    def say(self, value):
        self.channel.sendall(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def pass_listener(self, name, fd):
        line = json.dumps({"reloader": "listeners", "names": [name]}, separators=(",", ":")).encode() + b"\n"
        socket.send_fds(self.channel, [line], [fd])

    def next_line(self):
        while b"\n" not in self.lines:
            chunk = self.channel.recv(65536)
            assert chunk, f"the gateway has left: {self.log.read_text()}"
            self.lines += chunk
        line, _, self.lines = self.lines.partition(b"\n")
        return json.loads(line)

    def await_line(self, wanted):
        while self.next_line() != wanted:
            pass

    def connect(self, seconds=20):
        one = socket.socket(self.listener.family, socket.SOCK_STREAM)
        one.settimeout(seconds)
        one.connect(self.address)
        return one

    def http(self, seconds=20):
        """A http.client connection, to a Unix socket, too."""
        connection = http.client.HTTPConnection("127.0.0.1", timeout=seconds)
        connection.sock = self.connect(seconds)
        return connection

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own: (status, headers, body)."""
        with contextlib.closing(self.http()) as connection:
            connection.request(method, path, body=body, headers={"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def connections(self):
        """How many it holds, seen from outside."""
        return sum(1 for what in proc.fds(self.pid).values() if what.startswith("socket:"))

    def drain(self):
        self.say("graceful_shutdown")

    def stop(self, code=0, seconds=30):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            assert self.process.wait(seconds) == code, self.log.read_text()
        finally:
            self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for one in (self.channel, self.control, self.silent, self.listener):
            if one:
                one.close()
