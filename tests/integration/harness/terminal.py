"""A program on a terminal of its own, and what somebody would see who sits there."""
import fcntl
import os
import pty
import select
import struct
import termios
import time

import pyte


class Terminal:
    """
    Runs `command` there, which is found by its path. pyte does with what it writes as a terminal would: wraps lines that are
    too long, and scrolls when there are too many.
    """

    def __init__(self, command, width=100, height=24, environment=None):
        self.output = b""
        self.code = None
        self.size = (height, width)
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.ByteStream(self.screen)
        self.fd, self._other = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.fd)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.fd)
            self._become_leader()
            os.execve(command[0], list(map(str, command)),
                      {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(environment or {})})
        os.close(self._other)

    def _become_leader(self):
        os.setsid()
        fcntl.ioctl(self._other, termios.TIOCSCTTY, 0)
        for number in range(3):
            os.dup2(self._other, number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.code is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def resize(self, width, height):
        self.size = (height, width)
        self.screen.resize(height, width)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def _read(self, seconds):
        """False once there is nobody any more who writes."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            return False
        self.output += data
        self.stream.feed(data)
        return bool(data)

    def wait(self, condition, what, seconds=30):
        """Until condition(lines) holds; returns its value."""
        deadline = time.monotonic() + seconds
        while not (value := condition(self.lines())):
            assert self._read(0.1), f"it has ended before: {what}\n{self.text()}"
            assert time.monotonic() < deadline, f"not after {seconds} s: {what}\n{self.text()}"
        return value

    def wait_text(self, text, seconds=30):
        return self.wait(lambda lines: any(text in line for line in lines), text, seconds)

    def wait_end(self, seconds=30):
        """Its exit code, negative for a signal."""
        deadline = time.monotonic() + seconds
        while True:
            still = self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                # The kernel may still be about to hand over what was written last: there is no end before it has.
                while still and time.monotonic() < deadline:
                    still = self._read(0.05)
                self.code = os.waitstatus_to_exitcode(status)
                return self.code
            assert time.monotonic() < deadline, f"it has not ended after {seconds} s\n{self.text()}"
