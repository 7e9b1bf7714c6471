"""Numbered lines that workers print, and what became of each."""
import gzip
import os
import pathlib
import re
import signal

from harness import proc

MARK = " [the rest of this line is lost]"


def numbered(count, text="x" * 20):
    """A command that prints `count` lines, each with its slot, its number and `text`, in blocks that end anywhere."""
    return ["sh", "-c", f'exec seq -f "$RELOADER_SLOT %%.0f {text}" 0 {count - 1}']


def logger_of(master):
    """The pid of its reloader-log, or None."""
    found = [pid for pid in proc.children(master.pid) if proc.is_running(pid) and comm(pid) == "reloader-log"]
    return found[0] if found else None


def comm(pid):
    try:
        return proc.read(pid, "comm").decode().strip()
    except OSError:
        return None


def kill_logger(master):
    """SIGKILL, until another one is there."""
    old = proc.wait_until(lambda: logger_of(master), "reloader-log runs")
    os.kill(old, signal.SIGKILL)
    proc.wait_until(lambda: logger_of(master) not in (None, old), "another reloader-log runs")


def backups(path):
    """The file and its backups, the oldest first; a compressed one counts as what it was."""
    path = pathlib.Path(path)
    numbers = {}
    for one in path.parent.iterdir():
        match = re.fullmatch(re.escape(path.name) + r"\.(\d+)(\.gz)?", one.name)
        if match:
            assert match[1] not in numbers, f"{one} and {numbers[match[1]]}"
            numbers[match[1]] = one
    return [numbers[number] for number in sorted(numbers, key=int, reverse=True)] + ([path] if path.exists() else [])


def undisturbed(look):
    """What look() returns; None if it came into a rotation, in which a file is there twice, or not at all, for a moment."""
    try:
        return look()
    except (FileNotFoundError, EOFError, AssertionError):
        return None


def content(path):
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        return file.read()


class Account:
    """Of `writers` times `count` lines, those that were found in the files at `paths`."""

    def __init__(self, writers, count, paths, text="x" * 20):
        self.missing_bytes = 0
        self.cut, self.foreign, self.twice, self.unsorted = [], [], [], 0
        self.found = [bytearray(count) for _ in range(writers)]
        pattern = re.compile(rb"(\d+) (\d+) " + text.encode())
        last = [-1] * writers
        for path in paths:
            for file in backups(path):
                self._read(file, pattern, last)
        self.missing = sum(found.count(0) for found in self.found)
        for slot, found in enumerate(self.found):
            at = -1
            while (at := found.find(0, at + 1)) >= 0:
                self.missing_bytes += len(f"{slot} {at} {text}\n")

    def _read(self, file, pattern, last):
        data = content(file)
        assert not data or data.endswith(b"\n"), f"{file} ends within a line"
        for line in data.splitlines():
            match = pattern.fullmatch(line)
            if not match:
                (self.cut if line.endswith(MARK.encode()) else self.foreign).append((file.name, line[:200]))
                continue
            slot, number = int(match[1]), int(match[2])
            if self.found[slot][number]:
                self.twice.append((file.name, line))
            self.found[slot][number] = 1
            self.unsorted += number < last[slot]
            last[slot] = number

    def expect(self, said, kills=0, streams=1):
        """`said`: what the log says of bytes that are lost or dropped."""
        assert not self.foreign, f"no whole lines: {self.foreign[:5]}"
        assert not self.twice, f"twice: {self.twice[:5]}"
        assert self.unsorted == 0
        assert len(self.cut) <= kills * streams, self.cut
        assert self.missing_bytes <= said, f"{self.missing} lines ({self.missing_bytes} bytes) are missing, {said} bytes are said to be"


def said(master):
    """(bytes dropped, bytes lost) by what the log says."""
    master.log.read()
    dropped = sum(int(match[1]) for line in master.log.lines if (match := re.search(r"dropped \((\d+) bytes\)", line)))
    lost = sum(int(match[1]) for line in master.log.lines if (match := re.search(r"up to (\d+) bytes that it had read are not written", line)))
    return dropped, lost
