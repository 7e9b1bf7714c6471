"""
Fixtures. Around every test: a network namespace of its own (as root), a time limit, and a look at what it left behind.

    def test_something(master, directory): …
"""
import faulthandler
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile

import pytest

from harness import TOP, isolation, parallel, systemd
from harness.master import Master

LIMIT_SECONDS = 120  # with other tests beside it
STASH = pytest.StashKey()


class TimeIsUp(BaseException):
    """Not an Exception: no test swallows it by accident."""


def pytest_configure():
    isolation.open_the_way(TOP)
    faulthandler.enable()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


def is_gap_of_valgrind(logs):
    """3.19 does not know pidfd_send_signal(2), by which workers get their signals; what it is there for, it still finds."""
    return "valgrind" in os.environ.get("RELOADER_WRAPPER", "") and any("linux syscall: 424\n" in log for log in logs) \
        and not any(re.search(r"^==\d+== ", log, re.MULTILINE) for log in logs)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of every log it wrote, and of the journal of a machine that runs."""
    report = (yield).get_result()
    if report.failed:
        report.sections += [("journal", machine.journal(200)) for machine in systemd.RUNNING]
    directory = item.stash.get(STASH, None)
    if not report.failed or directory is None or not directory.exists():
        return
    logs = {log.name: log.read_text(errors="replace") for log in sorted(directory.rglob("*.log"))}
    for name, text in logs.items():
        report.sections.append((name, "\n".join(text.splitlines()[-60:])))
    if is_gap_of_valgrind(logs.values()):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1], "Skipped: this valgrind cannot send signals to workers")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """The time limit covers fixtures as well; when even the alarm's exception does not help, the process ends."""
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT_SECONDS

    def ring(*_):
        faulthandler.dump_traceback(sys.__stderr__)
        raise TimeIsUp(f"{item.nodeid} took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    parallel.set_limit(seconds)
    yield
    parallel.lift_limit()
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def isolated():
    """A network of its own; afterwards no process may be left."""
    network = isolation.Network()
    yield
    try:
        left = isolation.kill_children()
    finally:
        network.leave()
        parallel.HEAVY_LOAD.leave()
    assert not left, f"processes left behind: {left}"


def sanitizer_reports(path):
    """Of processes whose end nobody looks at, such as helpers that are started anew."""
    if "ASAN_OPTIONS" not in os.environ:
        return []
    texts = [log.read_text(errors="replace") for log in sorted(path.rglob("*.log"))]
    # A SIGSEGV that a test sends has its pid where the address would be.
    sent = f"AddressSanitizer: SEGV on unknown address 0x{os.getpid():012x}"
    texts = [re.sub(f"AddressSanitizer:DEADLYSIGNAL|{sent}|AddressSanitizer can not provide|SUMMARY: AddressSanitizer: SEGV", "", text)
             if sent in text else text for text in texts]
    found = [re.search(r"(?:(?:Address|Leak)Sanitizer|: runtime error: )", text) for text in texts]
    return [text[max(0, match.start() - 200):match.start() + 4000] for match, text in zip(found, texts) if match]


@pytest.fixture
def directory(request, isolated):
    """A directory with a short path (Unix sockets), gone after the test."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="rl-"))
    path.chmod(0o755)
    request.node.stash[STASH] = path
    yield path
    reports = sanitizer_reports(path)
    shutil.rmtree(path, ignore_errors=True)
    assert not reports, "\n".join(reports)


@pytest.fixture
def master(directory):
    """master(config, …) starts a Master and waits until all slots are ready; at the end it must stop cleanly."""
    started = []

    def start(config, ready=True, **options):
        options.setdefault("name", f"reloader{len(started) or ''}")
        new = Master(directory, config, **options)
        started.append(new)
        if ready:
            new.wait_ready()
        return new

    yield start
    for one in reversed(started):
        one.stop()


@pytest.fixture
def port(isolated):
    return isolation.free_port()
