"""Files that workers' output is written to: rotation, backups, compression, long lines, several writers, opening them anew."""
import errno
import os
import signal

import pytest

from harness import proc
from harness.output import Account, backups, comm, content, kill_logger, numbered, undisturbed
from test_output import shell, written

END = "[end]"


def counted(path, count, options=None, **program):
    """A worker that prints numbered lines, then END, and lives on."""
    script = f'seq -f "$RELOADER_SLOT %%.0f {"x" * 20}" 0 {count - 1}; echo "{END}"'
    return shell(script, stdout={"path": str(path), **(options or {})}, **program)


def await_end(path, times=1):
    """Until the last lines are there; they are taken out of the count by the reader."""
    def there():
        return sum(content(file).count(END.encode()) for file in backups(path)) == times
    proc.wait_until(lambda: undisturbed(there), f"{times} ends in {path}")


def lines(path):
    return [line for file in backups(path) for line in content(file).decode().splitlines()]


@pytest.mark.key("programs.NAME.stdout.max_size", "programs.NAME.stdout.backups")
@pytest.mark.sanitized
def test_rotation(master, directory):
    """No file beyond max_size, no more than `backups` of them, and the lines go on from one to the next."""
    path = directory / "out"
    master(counted(path, 10000, {"max_size": "16K", "backups": 3}))
    await_end(path)
    files = backups(path)
    assert [file.name for file in files] == ["out.3", "out.2", "out.1", "out"]
    for file in files[:-1]:
        assert 16384 - 32 < file.stat().st_size <= 16384, file
    *numbers, end = lines(path)
    assert end == END
    first = 10000 - len(numbers)
    assert numbers == [f"0 {number} {'x' * 20}" for number in range(first, 10000)]


def test_without_backups(master, directory):
    path = directory / "out"
    master(counted(path, 10000, {"max_size": "16K", "backups": 0}))
    await_end(path)
    assert sorted(file.name for file in directory.iterdir() if file.name.startswith("out")) == ["out"]
    assert path.stat().st_size <= 16384
    *numbers, _ = lines(path)
    assert numbers[-1] == f"0 9999 {'x' * 20}" and path.read_text().startswith("0 ")


@pytest.mark.key("programs.NAME.stdout.compress")
@pytest.mark.sanitized
def test_compress(master, directory):
    """Every backup becomes a .gz, and nothing else is left."""
    path = directory / "out"
    one = master(counted(path, 10000, {"max_size": "64K", "backups": 100, "compress": True}))
    await_end(path)

    def all_compressed():
        return all(file.suffix == ".gz" for file in backups(path)[:-1])
    proc.wait_until(lambda: undisturbed(all_compressed), "all backups are compressed")
    assert len(backups(path)) > 3
    assert not (directory / "out.compressing").exists()
    assert lines(path) == [f"0 {number} {'x' * 20}" for number in range(10000)] + [END]
    assert backups(path)[0].stat().st_mode & 0o777 == 0o640
    one.stop()


def test_compressed_backups_are_shifted(master, directory):
    """As plain ones are; the last goes."""
    path = directory / "out"
    gate = directory / "gate"
    os.mkfifo(gate)
    script = f"exec 3<> {gate}; while read line <&3; do head -c 5000 /dev/zero | tr '\\0' $line; echo; done"
    master(shell(script, stdout={"path": str(path), "max_size": 4096, "backups": 2, "compress": True}))
    for turn, word in enumerate("abcde"):
        gate.write_text(word + "\n")
        written(path, word * 5000 + "\n")
        expected = [f"out.{number}.gz" for number in (2, 1) if number <= turn] + ["out"]
        proc.wait_until(lambda expected=expected: undisturbed(lambda: [file.name for file in backups(path)]) == expected, f"{expected}")
    assert [content(file)[:1] for file in backups(path)] == [b"c", b"d", b"e"]


@pytest.mark.sanitized
@pytest.mark.parametrize("size", [4095, 65535, 65536, 65537, 200000, 1000000])
def test_a_long_line(master, directory, size):
    """Is written whole, wherever buffers end, and in one file even if that is beyond max_size."""
    path = directory / "out"
    script = f"echo before; head -c {size} /dev/zero | tr '\\0' x; echo; echo after"
    master(shell(script, stdout={"path": str(path), "max_size": 4096, "backups": 5}))
    proc.wait_until(lambda: (undisturbed(path.read_text) or "").endswith("after\n"), "all is there")
    assert lines(path) == ["before", "x" * size, "after"]


def test_a_line_that_is_too_long(master, directory):
    """Beyond 1 MiB it is dropped as a whole, and that is counted and said; those around it are there."""
    path = directory / "out"
    one = master(shell("echo before; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo after", stdout=str(path)))
    written(path, "before\nafter\n")
    said = one.wait_line(r"web/0: stdout: 1 line is dropped \((\d+) bytes\): a line is longer than 1 MiB")
    assert int(said[1]) == 3000001
    output = one.status()["programs"][0]["output"]
    assert output == {"dropped_lines": 1, "dropped_bytes": 3000001, "lost_bytes": 0}
    assert "1 line" in one.ctl("status").stdout


@pytest.mark.sanitized
def test_many_writers_of_one_file(master, directory):
    """One descriptor, one count of its size: lines are whole, in each writer's order, and rotation happens once."""
    path = directory / "out"
    one = master({"programs": {
        "web": {"command": numbered(20000), "workers": 8, "restart": "never", "start_seconds": "0s",
                "stdout": {"path": str(path), "max_size": "256K", "backups": 1000}}}}, ready=False)
    one.wait(lambda status: [slot["state"] for slot in one.slots(status=status)] == ["EXITED"] * 8, "all have printed all", 60)
    one.stop()
    account = Account(8, 20000, [path])
    account.expect(0)
    assert account.missing == 0
    assert all(file.stat().st_size <= 256 * 1024 for file in backups(path))


@pytest.mark.sanitized
def test_reopen(master, directory):
    """After logrotate has renamed it, USR1 makes a new file; nothing is lost."""
    path, gate = directory / "out", directory / "gate"
    os.mkfifo(gate)
    one = master(shell(f"exec 3<> {gate}; while read line <&3; do echo $line; done", stdout=str(path)))
    gate.write_text("first\n")
    written(path, "first\n")
    path.rename(directory / "out.old")
    gate.write_text("second\n")
    written(directory / "out.old", "first\nsecond\n")
    one.kill(signal.SIGUSR1)
    told = ["first", "second"]

    def tell():
        """What is printed before the signal has come there still goes to the old one."""
        told.append(f"line {len(told)}")
        gate.write_text(told[-1] + "\n")
        return path.exists()
    proc.wait_until(tell, "the file is opened anew")

    def all_there():
        return ((directory / "out.old").read_text() + path.read_text()).split("\n") == [*told, ""]
    proc.wait_until(all_there, "each line is in one of them, in order")


def test_a_reload_changes_settings(master, directory):
    path, gate = directory / "out", directory / "gate"
    os.mkfifo(gate)
    one = master(shell(f"exec 3<> {gate}; while read line <&3; do head -c 5000 /dev/zero | tr '\\0' $line; echo; done",
                       stdout={"path": str(path), "max_size": "1M", "backups": 2}))
    for word in "ab":
        gate.write_text(word + "\n")
    proc.wait_until(lambda: path.exists() and path.stat().st_size == 10002, "both are in one file")
    one.programs["web"]["stdout"]["max_size"] = 4096
    one.write()
    one.hup()
    one.wait_drained()
    gate.write_text("c\n")
    written(path, "c" * 5000 + "\n")
    assert (directory / "out.1").stat().st_size == 10002


def test_the_last_line_has_an_end(master, directory):
    """What a worker prints last is written when it leaves, and completed to a line."""
    path = directory / "out"
    one = master(shell("printf 'no end'", stdout=str(path), restart="never"))
    (pid,) = one.pids()
    proc.wait_until(lambda: comm(pid) == "sleep", "it has printed that")
    assert not path.exists() or path.read_text() == ""
    os.kill(pid, signal.SIGKILL)
    written(path, "no end\n")


def is_held(fifo):
    """Has somebody opened it for reading?"""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        assert error.errno == errno.ENXIO
        return False
    return True


def test_a_child_that_stays(master, directory):
    """Who holds the pipe after the worker has gone is still heard."""
    path, gates = directory / "out", [directory / f"gate{generation}" for generation in (1, 2)]
    for gate in gates:
        os.mkfifo(gate)
    one = master(shell(f"(setsid sh -c 'echo began; exec 3<> {directory}/gate$RELOADER_GENERATION; read line <&3; echo $line' &) ; sleep 0", stdout=str(path), kill_mode="process"))
    written(path, "began\n")
    one.hup()
    one.wait_drained()
    for gate, line in zip(gates, ("still here\n", "the second\n")):
        gate.write_text(line)
        proc.wait_until(lambda line=line: line in path.read_text(), "the child's line is there")
        proc.wait_until(lambda gate=gate: not is_held(gate), "it has left")


def test_a_fifo_with_a_reader(master, directory):
    path = directory / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    master(shell("head -c 100000 /dev/zero | tr '\\0' x; echo; seq 1000", stdout=str(path)))
    expected = b"x" * 100000 + b"\n" + b"".join(b"%d\n" % number for number in range(1, 1001))
    data = b""

    def all_there():
        nonlocal data
        try:
            data += os.read(reader, 65536)
        except BlockingIOError:
            pass
        return len(data) >= len(expected)
    proc.wait_until(all_there, "all has come through the FIFO")
    os.close(reader)
    assert data == expected


@pytest.mark.sanitized
def test_a_file_that_was_cut_is_completed(master, directory):
    """What an earlier process has left without an end stays a line of its own."""
    path = directory / "out"
    path.write_text("cut")
    one = master(shell("echo first; exec sleep 1000", stdout=str(path)))
    written(path, "cut\nfirst\n")
    kill_logger(one)
