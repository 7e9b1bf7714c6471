"""
Several tests at a time, by pytest-xdist. Each of its workers is a process of its own: a test has its network, its time limit
and all processes below that one to itself, as if it were alone; and new directories it has anyway.

What takes long begins first, so that not all others wait for it in the end. A file whose tests share what is costly to
make, by a fixture of module scope, stays with one worker and in its order. What is not to be had twice is computing power:
of the tests with heavy load, or with a browser, one runs at a time, beside others that wait more than they compute. Files full of them, marked as
heavy, therefore go to one worker, so that no others wait for their turns.
"""
import faulthandler
import fcntl
import functools
import os
import pathlib
import re
import signal
import tempfile

from harness.paths import TOP


LOCK = "RELOADER_TEST_LOCK"  # names a file, for all processes of this run
ABORT_SECONDS = 60  # after a test's time limit


def is_worker(config):
    return hasattr(config, "workerinput")


def make_lock():
    descriptor, os.environ[LOCK] = tempfile.mkstemp(prefix="reloader-test-lock-")
    os.close(descriptor)


def remove_lock():
    os.unlink(os.environ.pop(LOCK))


def set_limit(seconds):
    """SIGALRM by then; when even that does not help, the process ends."""
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(seconds + ABORT_SECONDS, exit=True)


def lift_limit():
    """Returns what was left of it."""
    faulthandler.cancel_dump_traceback_later()
    return signal.alarm(0)


class Turn:
    """One at a time, of all processes of this run. Waiting for it takes nothing from the test's own time."""

    def __init__(self):
        self._lock = None

    def take(self):
        if self._lock is not None or LOCK not in os.environ:
            return
        left = lift_limit()
        self._lock = os.open(os.environ[LOCK], os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        set_limit(left)

    def leave(self):
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


HEAVY_LOAD = Turn()


@functools.cache
def group_of(path):
    """What a test file belongs to as a whole, or None; told by its text, because who hands out tests knows no marks."""
    text = pathlib.Path(TOP, path).read_text()
    if "pytest.mark.heavy" in text:
        return "heavy"
    return path if re.search(r"^@pytest\.fixture\(.*scope=\"module\"", text, re.MULTILINE) else None


def unit_of(nodeid):
    """What goes to a worker as one: a group of files, or a single test."""
    return group_of(nodeid.partition("::")[0]) or nodeid


def longest_first(items):
    """By the marks that tests have: slow, and their time limit."""
    def rank(item):
        if unit_of(item.nodeid) != item.nodeid:
            return (0, 0)
        limit = item.get_closest_marker("limit")
        return (1 if item.get_closest_marker("slow") else 2, -limit.args[0] if limit else 0)
    items.sort(key=rank)


def scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        """A worker begins with a test when it knows the next one: so much ahead, and no more."""

        def _split_scope(self, nodeid):
            return unit_of(nodeid)

        def _reschedule(self, node):
            if not self.workqueue or self._pending_of(self.assigned_work[node]) < 2:
                super()._reschedule(node)

    return Scheduling(config, log)
