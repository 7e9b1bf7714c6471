"""Follows a file that others append lines to; waits by inotify, so that nobody polls."""
import ctypes
import os
import re
import select
import time

LIBC = ctypes.CDLL(None, use_errno=True)
IN_MODIFY = 0x2


class Tail:
    """Lines of a file as they come. `lines` holds all complete ones read so far."""

    def __init__(self, path):
        self.path = str(path)
        self.lines = []
        self._rest = b""
        self._file = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._inotify = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._inotify < 0 or LIBC.inotify_add_watch(self._inotify, self.path.encode(), IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {self.path}")

    def close(self):
        os.close(self._file)
        os.close(self._inotify)

    def read(self):
        """Takes in what is there now; returns all lines."""
        while chunk := os.read(self._file, 65536):
            *complete, self._rest = (self._rest + chunk).split(b"\n")
            self.lines += [line.decode(errors="replace") for line in complete]
        return self.lines

    def await_change(self, seconds, others=()):
        """Returns when the file grew, when a descriptor of `others` is readable, or after `seconds`."""
        ready, _, _ = select.select([self._inotify, *others], [], [], max(0, seconds))
        if self._inotify in ready:
            os.read(self._inotify, 65536)
        return ready

    def text(self):
        return "\n".join(self.read())

    def find(self, pattern, start=0):
        """The first match of a regular expression in a line from number `start` on, or None."""
        return next((match for line in self.read()[start:] if (match := re.search(pattern, line))), None)

    def count(self, pattern, start=0):
        return sum(1 for line in self.read()[start:] if re.search(pattern, line))

    def wait(self, pattern, start=0, seconds=20, others=(), times=1):
        """Waits for `times` lines that match; returns the last match. Fails when `others` become readable before."""
        deadline = time.monotonic() + seconds
        while True:
            matches = [match for line in self.read()[start:] if (match := re.search(pattern, line))]
            if len(matches) >= times:
                return matches[times - 1]
            left = deadline - time.monotonic()
            gone = set(self.await_change(left, others)) & set(others)
            if gone or left <= 0:
                if len(self.read()) > start and self.count(pattern, start) >= times:
                    continue
                why = "the process has ended" if gone else f"{seconds} s"
                raise AssertionError(f"waiting for /{pattern}/ ({why}) in {self.path}:\n" + "\n".join(self.lines[-60:]))
