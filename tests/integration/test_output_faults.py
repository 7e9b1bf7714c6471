"""What becomes of output when reloader-log is killed or stopped, the disk is full, nobody reads, or the master dies."""
import os
import re
import resource
import signal

import pytest

from harness import proc
from harness.output import Account, content, kill_logger, logger_of, numbered, said, undisturbed
from test_output import shell, written

QUIET = {"command": ["sleep", "1000"], "stdout": "/dev/null"}  # its pipe keeps reloader-log alive


def writers(count, workers, stdout, **options):
    return {"programs": {"quiet": QUIET, "web": {"command": numbered(count), "workers": workers, "restart": "never", "start_seconds": "0s",
                                                 "stdout": stdout, **options}}}


def wait_printed(one, seconds=40):
    def all_have(status):
        slots = one.slots("web", status)
        return slots and all(slot["state"] == "EXITED" for slot in slots)
    one.wait(all_have, "all have printed all", seconds)


@pytest.mark.limit(120)
@pytest.mark.parametrize("shared", [False, True], ids=["a file each", "one file"])
def test_killed_while_it_writes(master, directory, shared):
    """10 writers and 5 deaths: each line is there once and whole, or counted; at most a buffer for each death and stream."""
    path = directory / ("all" if shared else "%(process_num)s")
    one = master(writers(100000, 10, {"path": str(path), "max_size": "1M", "backups": 1000}), ready=False)
    for _ in range(5):
        kill_logger(one)
    wait_printed(one, 90)
    one.stop()
    paths = [path] if shared else [directory / str(slot) for slot in range(10)]
    dropped, lost = said(one)
    Account(10, 100000, paths).expect(dropped + lost, kills=5, streams=10)
    assert lost <= 5 * 10 * 2 * 65536
    assert one.log.count(r"reloader-log, pid \d+, died \(SIGKILL\)") == 5


@pytest.mark.sanitized
def test_nothing_in_a_pipe_is_lost(master, directory):
    """What is printed while reloader-log is stopped, and dead, and started again, is there afterwards."""
    path, gate = directory / "out", directory / "gate"
    os.mkfifo(gate)
    one = master(shell(f"echo first; exec 3<> {gate}; while read line <&3; do echo $line; echo done > {directory}/$line; done", stdout=str(path)))
    written(path, "first\n")
    old = logger_of(one)
    os.kill(old, signal.SIGSTOP)
    gate.write_text("stopped\n")
    proc.wait_until((directory / "stopped").exists, "the worker has printed it")
    assert path.read_text() == "first\n"
    os.kill(old, signal.SIGKILL)
    written(path, "first\nstopped\n")
    assert said(one) == (0, 0)
    assert logger_of(one) not in (None, old)


@pytest.mark.root
@pytest.mark.parametrize("redirect", [False, True])
def test_a_full_disk(master, directory, redirect):
    """Lines that find no room are dropped whole and counted; the worker goes on; when there is room again, so does the file."""
    disk, gate = directory / "disk", directory / "gate"
    disk.mkdir()
    os.mkfifo(gate)
    wrapper = ["unshare", "-m", "--propagation", "private", "sh", "-c", f'mount -t tmpfs -o size=256K none {disk} && exec "$@"', "sh"]
    script = f"seq 100000; echo printed > {directory}/printed; exec 3<> {gate}; while read line <&3; do echo $line; done"
    one = master(shell(script, stdout=str(disk / "out"), redirect_stderr=redirect), wrapper=wrapper)
    proc.wait_until((directory / "printed").exists, "the worker was not held up")
    told = one.wait_line(r"web/0: stdout: (\d+) lines are dropped \((\d+) bytes\): cannot write to \S+/out: No space left on device")
    assert int(told[1]) > 0
    inside = f"/proc/{logger_of(one)}/root{disk}/out"

    def all_of_it():
        """What is written, and what is told to be dropped; the last of it may still be in the pipe."""
        with open(inside, encoding="ascii") as file:
            text = file.read()
        dropped = one.status()["programs"][0]["output"]
        return text.count("\n") + dropped["dropped_lines"] >= 100000 and (text, dropped)
    text, dropped = proc.wait_until(all_of_it, "all was written or dropped")
    assert text.endswith("\n")
    numbers = [int(line) for line in text.splitlines()]
    assert len(numbers) == len(set(numbers)) and numbers == sorted(numbers), "whole lines, in their order"
    assert dropped["dropped_lines"] == 100000 - len(numbers)
    assert dropped["dropped_bytes"] == sum(len(f"{number}\n") for number in range(1, 100001)) - len(text)
    with open(inside, "r+b") as file:
        file.truncate(0)
    gate.write_text("again\n")
    proc.wait_until(lambda: "again\n" in open(inside, encoding="ascii").read(), "it is written again")


def test_a_reader_that_does_not_read(master, directory):
    """The worker prints to its end; what the reader finds afterwards are whole lines."""
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    one = master(shell(f"seq 200000; echo printed > {directory}/printed", stdout=str(fifo)))
    proc.wait_until((directory / "printed").exists, "the worker was not held up")
    one.wait_line(r"web/0: stdout: \d+ lines are dropped")
    data = os.read(reader, 1 << 20)
    os.close(reader)
    assert data.startswith(b"1\n2\n3\n")
    numbers = [int(line) for line in data.split(b"\n")[:-1]]
    assert numbers == sorted(numbers)
    one.process.terminate()
    one.wait_end()


def test_one_slow_reader_holds_up_nobody_else(master, directory):
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    config = shell("seq 200000", stdout=str(fifo))
    config["programs"]["other"] = {"command": numbered(100000), "restart": "never", "start_seconds": "0s", "stdout": str(directory / "other")}
    one = master(config, ready=False)
    one.wait(lambda status: [slot["state"] for slot in one.slots("other", status)] == ["EXITED"], "it has printed all")
    proc.wait_until(lambda: (directory / "other").stat().st_size == sum(len(f"0 {i} {'x' * 20}\n") for i in range(100000)), "all of it is written")
    os.close(reader)


def test_what_cannot_be_opened(master, directory):
    """Said with path and reason, for each of its writers once; the workers live on."""
    (directory / "out").mkdir()
    one = master(shell("seq 1000", stdout=str(directory / "out")))
    one.wait_line(r"web/0: stdout: 1000 lines are dropped \(3893 bytes\): cannot open \S+/out: Is a directory")
    assert len(one.pids()) == 1


@pytest.mark.parametrize("path, why", [
    ("out", "Is a directory"),
    ("some/where/out", "No such file or directory (its directory is made, those above it are not)"),
    ("fifo", "No such device or address (a FIFO that nobody reads, or a socket)"),
])
def test_what_cannot_be_opened_is_said_before_a_line_is_lost(master, directory, path, why):
    (directory / "out").mkdir()
    os.mkfifo(directory / "fifo")
    one = master(shell("exec sleep 1000", stdout=str(directory / path)))
    one.wait_line(re.escape(f"web/0: stdout: cannot open {directory / path}: {why}; until that works, what it prints is dropped"))
    assert len(one.pids()) == 1


def test_a_quiet_worker_has_its_file(master, directory):
    """For those who follow it, before there is anything in it."""
    one = master(shell("exec sleep 1000", stdout=str(directory / "sub" / "out")))
    proc.wait_until(lambda: (directory / "sub" / "out").exists(), "the file is there")
    assert (directory / "sub" / "out").read_text() == "" and len(one.pids()) == 1


@pytest.mark.sanitized
def test_the_last_words_before_a_shutdown(master, directory):
    """All that was printed is written when the master has left, and reloader-log has left with it."""
    path = directory / "out"
    one = master(shell("trap 'seq 50000; exit' TERM; while :; do sleep 0.01; done", stdout=str(path)))
    (pid,) = one.pids()
    proc.wait_until(lambda: proc.catches(pid, signal.SIGTERM), "it has set its trap")
    helper = logger_of(one)
    one.stop()
    assert path.read_text() == "".join(f"{number}\n" for number in range(1, 50001))
    assert not proc.is_running(helper)


def test_it_dies_as_the_master_leaves(master, directory):
    """What is still in the pipes is written by one that is started for that alone."""
    path, gate = directory / "out", directory / "gate"
    os.mkfifo(gate)
    one = master(shell(f"echo first; exec 3<> {gate}; while read line <&3; do echo $line; echo done > {directory}/$line; done", stdout=str(path)))
    written(path, "first\n")
    helper, (worker,) = logger_of(one), one.pids()
    os.kill(helper, signal.SIGSTOP)
    gate.write_text("last\n")
    proc.wait_until((directory / "last").exists, "the worker has printed it")
    one.process.terminate()
    proc.wait_gone(worker)
    os.kill(helper, signal.SIGKILL)
    one.wait_end()
    assert path.read_text() == "first\nlast\n"


def test_a_reloader_log_without_descriptors(master, directory):
    """A pipe that it cannot take now is offered again until it can; its soft limit is not what the master began with."""
    one = master(shell("echo out $RELOADER_SLOT", stdout=str(directory / "%(process_num)s")), wrapper=["prlimit", "--nofile=200:5000"])
    written(directory / "0", "out 0\n")
    helper = logger_of(one)
    assert resource.prlimit(helper, resource.RLIMIT_NOFILE) == (5000, 5000)
    taken = proc.fds(helper)
    resource.prlimit(helper, resource.RLIMIT_NOFILE, (next(fd for fd in range(len(taken) + 1) if fd not in taken), 5000))
    one.ctl("scale", "web", "2")
    one.wait_line("web/1: reloader-log cannot take its stdout: Too many open files; it is tried again")
    assert not (directory / "1").exists()
    resource.prlimit(helper, resource.RLIMIT_NOFILE, (5000, 5000))
    written(directory / "1", "out 1\n")
    assert logger_of(one) == helper and one.log.count("cannot take its stdout") == 1


def test_signals_of_a_terminal(master, directory):
    """Those that end others do not end it."""
    path, gate = directory / "out", directory / "gate"
    os.mkfifo(gate)
    one = master(shell(f"echo first; exec 3<> {gate}; while read line <&3; do echo $line; done", stdout=str(path)))
    written(path, "first\n")
    helper = logger_of(one)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(helper, number)
    gate.write_text("still\n")
    written(path, "first\nstill\n")
    assert logger_of(one) == helper


def test_the_master_is_killed(master, directory):
    """Its workers may live on: what they print is written, and then reloader-log leaves."""
    path, gate = directory / "out", directory / "gate"
    os.mkfifo(gate)
    one = master(shell(f"exec 3<> {gate}; while read line <&3; do echo $line; done", stdout=str(path)))
    helper, (worker,) = logger_of(one), one.pids()
    one.process.kill()
    one.process.wait()
    one.stopped = True
    gate.write_text("an orphan's\n")
    written(path, "an orphan's\n")
    os.kill(worker, signal.SIGKILL)
    proc.wait_gone(helper)


def test_it_is_started_when_it_is_needed(master, directory):
    """Not for output that it has nothing to do with; by a reload that wants it, it is."""
    one = master(shell("echo out"))
    assert not logger_of(one)
    one.programs["web"]["stdout"] = str(directory / "out")
    one.write()
    one.hup()
    written(directory / "out", "out\n")
    assert logger_of(one)


def test_descriptors_come_back(master, directory):
    """20 reloads and 3 deaths later the master holds as many as before, and so does reloader-log."""
    one = master(shell("echo out", workers=2, stdout=str(directory / "out"), stderr="log"))

    def printed(generations):
        """Who is replaced before it has printed never does."""
        expected = [b"out"] * 2 * generations
        proc.wait_until(lambda: undisturbed(lambda: content(directory / "out").splitlines()) == expected, f"{generations} have printed")
    printed(1)
    one.hup()
    one.wait_drained()
    printed(2)

    def pipes(pid):
        return sum(target.startswith("pipe:") for target in proc.fds(pid).values())
    helper = logger_of(one)
    proc.wait_until(lambda: pipes(one.pid) == pipes(helper) == 4, "only those of the two workers")
    before = one.descriptors()
    for turn in range(20):
        one.hup()
        one.wait_drained()
        printed(turn + 3)
        if turn % 8 == 0:
            kill_logger(one)
    helper = logger_of(one)
    proc.wait_until(lambda: pipes(one.pid) == pipes(helper) == 4, "only those of the two workers")
    assert one.descriptors() == before


@pytest.mark.limit(90)
def test_a_stopped_one_is_replaced(master, directory):
    """The master asks whether it is there; what is in the pipes meanwhile is written by the next one."""
    path, gate = directory / "out", directory / "gate"
    os.mkfifo(gate)
    one = master(shell(f"echo first; exec 3<> {gate}; while read line <&3; do echo $line; done", stdout=str(path)))
    written(path, "first\n")
    old = logger_of(one)
    os.kill(old, signal.SIGSTOP)
    gate.write_text("stopped\n")
    one.wait_line(rf"reloader-log, pid {old}, does not answer .*: it is killed", seconds=60)
    written(path, "first\nstopped\n")
    assert said(one) == (0, 0)
    assert logger_of(one) not in (None, old)
