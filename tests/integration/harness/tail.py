"""Follows a file that others append lines to; waits by inotify, so that nobody polls."""
import contextlib
import ctypes
import os
import re
import select
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
IN_MODIFY = 0x2


class Watcher:
    """
    The one inotify instance of this process (a user has few of them). Where there is none left, waiting for a change is a
    short pause. Where several threads wait, one of them may read what was meant for another: then nobody waits for long.
    """

    PAUSE_SECONDS = 0.01
    SHARED_SECONDS = 0.05

    def __init__(self):
        self.inotify = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)

    def add(self, path):
        if self.inotify >= 0:
            LIBC.inotify_add_watch(self.inotify, path.encode(), IN_MODIFY)

    def wait(self, seconds, others):
        """Until any watched file grew, a descriptor of `others` is readable, or the time is over. Returns who of `others` is."""
        if self.inotify < 0:
            return select.select(others, [], [], max(0, min(seconds, self.PAUSE_SECONDS)))[0]
        if threading.active_count() > 1:
            seconds = min(seconds, self.SHARED_SECONDS)
        ready, _, _ = select.select([self.inotify, *others], [], [], max(0, seconds))
        if self.inotify in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self.inotify, 65536)
            ready.remove(self.inotify)
        return ready


WATCHER = Watcher()


class Tail:
    """Lines of a file as they come. `lines` holds all complete ones read so far."""

    def __init__(self, path):
        self.path = str(path)
        self.lines = []
        self._rest = b""
        self._file = open(self.path, "a+b", buffering=0)  # closed when nobody follows it any more
        self._file.seek(0)
        WATCHER.add(self.path)

    def read(self):
        """Takes in what is there now; returns all lines."""
        while chunk := self._file.read(65536):
            *complete, self._rest = (self._rest + chunk).split(b"\n")
            self.lines += [line.decode(errors="replace") for line in complete]
        return self.lines

    @staticmethod
    def await_change(seconds, others=()):
        """Returns when a file grew, when a descriptor of `others` is readable, or after `seconds`; those of `others`."""
        return WATCHER.wait(seconds, list(others))

    def text(self):
        return "\n".join(self.read())

    def find(self, pattern, start=0):
        """The first match of a regular expression in a line from number `start` on, or None."""
        return next((match for line in self.read()[start:] if (match := re.search(pattern, line))), None)

    def count(self, pattern, start=0):
        return sum(1 for line in self.read()[start:] if re.search(pattern, line))

    def wait(self, pattern, start=0, seconds=20, others=(), times=1):
        """Waits for `times` lines that match; returns the last of these matches. Fails when `others` become readable before."""
        deadline = time.monotonic() + seconds
        gone = []
        while True:
            matches = [match for line in self.read()[start:] if (match := re.search(pattern, line))]
            if len(matches) >= times:
                return matches[times - 1]
            left = deadline - time.monotonic()
            if gone or left <= 0:
                why = "the process has ended" if gone else f"{seconds} s"
                raise AssertionError(f"waiting for /{pattern}/ ({why}) in {self.path}:\n" + "\n".join(self.lines[-60:]))
            # Who is gone may have written just before: hence one more look.
            gone = self.await_change(left, others)
