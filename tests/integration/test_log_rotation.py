"""The master's own log is rotated by its size: whole lines, none lost, also those that workers print into it."""
import os
import re
import signal
import statistics

import pytest

from harness import configs, proc
from harness.output import backups, comm, content, kill_logger, undisturbed
from test_output import shell


def lines(path):
    return [line for file in backups(path) for line in content(file).decode().splitlines()]


def settings(path, **options):
    return {"log": {"file": str(path), "level": "debug", **options}}


def reload_until(one, condition, result="committed"):
    """Each reload is some lines."""
    for _ in range(200):
        one.expect_reload(result)
        if undisturbed(condition):
            return
    raise AssertionError("not after 200 reloads")


@pytest.mark.sanitized
@pytest.mark.key("log.max_size", "log.backups")
def test_by_size(master, directory):
    """No file is larger, no more of them are kept, and the lines go on from one to the next."""
    path = directory / "log"
    one = master({**settings(path, max_size="4K", backups=3), **configs.recorders(directory / "record", workers=1)})
    path.chmod(0o600)
    reload_until(one, lambda: (directory / "log.3").exists())
    inode = proc.wait_until(lambda: undisturbed(lambda: (directory / "log.3").stat().st_ino), "it is there")
    reload_until(one, lambda: (directory / "log.3").stat().st_ino != inode)
    one.stop()  # and with it the lines of those who drain
    files = backups(path)
    assert [file.name for file in files] == ["log.3", "log.2", "log.1", "log"]
    assert not (directory / "log.new").exists()
    for file in files:
        assert 0 < file.stat().st_size <= 4096 and file.stat().st_mode & 0o777 == 0o600
        assert content(file).endswith(b"\n")
    began = [int(match[1]) for line in lines(path) if (match := re.search(r"reload (\d+) began", line))]
    assert began == list(range(began[0], began[-1] + 1)) and len(began) > 3


def test_without_backups(master, directory):
    path = directory / "log"
    one = master({**settings(path, max_size="4K", backups=0), **configs.recorders(directory / "record", workers=1)})
    sizes = []
    reload_until(one, lambda: sizes.append(path.stat().st_size) or len(sizes) > 3 and sizes[-1] < sizes[-2])
    one.stop()
    assert max(sizes) <= 4096 and [file.name for file in backups(path)] == ["log"]


@pytest.mark.sanitized
@pytest.mark.parametrize("form", ["text", "json"])
def test_with_the_lines_of_workers(master, directory, form):
    """reloader-log writes most of it, and follows: each line is found once, whole, in its worker's order. It is killed meanwhile, too."""
    path = directory / "log"
    script = f'seq -f "$RELOADER_SLOT %%.0f {"x" * 50}" 0 19999; echo end'
    config = {**settings(path, max_size="256K", backups=1000, format=form), **shell(script, workers=3, stdout="log")}
    one = master(config)
    pattern = re.compile(r'(?:web/\d\[\d+\]: |"message":")(\d) (\d+) x{50}(?:"}|)$')

    def ends():
        return sum(bool(re.search(r'(: |")end("}|)$', line)) for line in lines(path))
    # Without a look at the files meanwhile, which takes computing power from those who write and rotate them.
    for pid in one.pids():
        proc.wait_until(lambda pid=pid: comm(pid) == "sleep", "it has printed all", 60)
    proc.wait_until(lambda: undisturbed(ends) == 3, "all is written", 60)
    found = [[], [], []]
    for line in lines(path):
        assert re.match(r"\{.*\}$|\d{4}-\d\d-\d\dT\S+ (info|debug|warning) ", line), line
        if match := pattern.search(line):
            found[int(match[1])].append(int(match[2]))
    assert found == [list(range(20000))] * 3
    assert len(backups(path)) > 5
    # Bounded, though two processes write: those who write go on with the new file soon. Where all is many times slower, reloader-log may have
    # waited its 100 ms in vain now and then.
    sizes = [file.stat().st_size for file in backups(path)]
    assert (statistics.median(sizes) if "ASAN_OPTIONS" in os.environ else max(sizes)) < 2 * 256 * 1024
    held = {what for pid in (one.pid, *proc.children(one.pid)) for what in proc.fds(pid).values() if what.startswith(str(path))}
    proc.wait_until(lambda: {what for pid in (one.pid, *proc.children(one.pid)) for what in proc.fds(pid).values()
                             if what.startswith(str(path))} == {str(path)}, f"nobody holds an old file any more: {held}")
    kill_logger(one)
    one.hup()
    proc.wait_until(lambda: undisturbed(ends) == 6, "the next ones' lines are there", 60)


def test_opened_anew(master, directory):
    """Who renames it himself is not interfered with; after USR1 the new one is rotated as before."""
    path = directory / "log"
    one = master({**settings(path, max_size="4K", backups=5), **configs.recorders(directory / "record", workers=1)})
    path.rename(directory / "mine")
    good = one.config
    one.write("programs: [")
    reload_until(one, lambda: (directory / "mine").stat().st_size > 8192, "refused")
    one.write(good)
    assert [file.name for file in directory.glob("log*")] == []
    one.kill(signal.SIGUSR1)
    proc.wait_until(path.exists, "it is opened anew")
    reload_until(one, lambda: (directory / "log.1").exists())
    one.stop()
    assert all(file.stat().st_size <= 4096 for file in backups(path))


@pytest.mark.sanitized
def test_that_fails(master, directory):
    """Said once, and the file grows; when it works again, it is rotated."""
    path = directory / "log"
    one = master({**settings(path, max_size="4K", backups=1), **configs.recorders(directory / "record", workers=1)})
    # A directory that is not empty is in the way of the backup.
    (directory / "log.1" / "x").mkdir(parents=True)
    reload_until(one, lambda: path.stat().st_size > 4 * 4096)
    said = [line for line in path.read_text().splitlines() if "cannot rotate" in line]
    assert len(said) == 1 and f"warning cannot rotate {path}: Is a directory; it grows" in said[0]
    assert not (directory / "log.new").exists()
    os.rename(directory / "log.1", directory / "away")
    reload_until(one, lambda: (directory / "log.1").exists())
    assert (directory / "log.1").stat().st_size > 4 * 4096 and path.stat().st_size <= 4096


def test_reload_changes_it(master, directory):
    path = directory / "log"
    one = master({**settings(path), **configs.recorders(directory / "record", workers=1)})
    reload_until(one, lambda: path.stat().st_size > 8192)
    assert len(backups(path)) == 1
    one.config["log"].update(max_size="4K", backups=2)
    one.write()
    one.expect_reload("committed")
    reload_until(one, lambda: (directory / "log.1").exists())
    assert (directory / "log.1").stat().st_size > 8192 and path.stat().st_size <= 4096
