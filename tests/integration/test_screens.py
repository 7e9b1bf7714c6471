"""
What people see, in a real terminal. No line is wider than it, and where a screen is always the same, it is as in screens/.

UPDATE_SCREENS=1 writes those anew: look at what has changed.
"""
import contextlib
import os
import pathlib
import re
import signal
import unicodedata

import pytest

from harness import BINARIES, configs, proc
from harness.record import Record
from harness.tmux import Tmux

SCREENS = pathlib.Path(__file__).with_name("screens")
SIZES = [(80, 24), (200, 50)]
LONG = "a-program-with-a-name-of-forty-letters-x"


def columns(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def assert_fits(terminal, lines):
    wide = [line for line in lines if columns(line) > terminal.width]
    assert not wide, "wider than %d columns:\n%s" % (terminal.width, "\n".join(wide))


def normalised(lines):
    """Without what is another each time; runs of blanks are one, as columns are as wide as what is in them."""
    text = "\n".join(lines).rstrip("\n") + "\n"
    for pattern, word in [
        (r"\b\d+(\.\d+)? (us|ms|s)\b|\b\d+ min( \d+ s)?", "TIME"), (r"\d+(\.\d+)?%", "CPU"), (r"\b\d+(\.\d+)?[KMG]\b", "SIZE"),
        (r"(?<=pid )\d+|(?<=/\d  )\s*\d+(?=  )|(?<=/\d )\s*\d+(?= )", " PID"), (r"127\.0\.0\.1:\d+", "ADDRESS"), (r"(?<=version )[\d.]+", "VERSION"),
        (r"(?<=ADDRESS)\s+\d{4,}(?=\s)", " INODE"), (r" +", " "),
    ]:
        text = re.sub(pattern, word, text)
    return text


def assert_screen(name, lines):
    path = SCREENS / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS"):
        path.write_text(normalised(lines))
    assert normalised(lines) == path.read_text(), f"not as in {path}; UPDATE_SCREENS=1 writes it anew"


def sleeper(**keys):
    return {"command": ["sleep", "1000"], "start_seconds": 0, "reload": {"probation": "0s"}, **keys}


@pytest.fixture
def many(master):
    """64 workers, and a name as long as names get."""
    return master({"programs": {LONG: sleeper(workers=64), "wide": sleeper(workers=2, worker_name="日本語の工人-%(process_num)s")}}, arguments=[])


@pytest.fixture
def few(master, port):
    return master({"sockets": {"web": {"listen": f"127.0.0.1:{port}", "backlog": 1024}},
                   "programs": {"web": sleeper(workers=2, sockets=["web"]), "jobs": sleeper(autostart=False)}})


def screen(one, directory, *words, **how):
    return Tmux(directory, [BINARIES.reloaderctl, "-s", one.socket, *words], **how)


@pytest.mark.parametrize("width, height", SIZES)
def test_no_line_is_too_wide(many, directory, width, height):
    many.expect_reload("committed")
    for words in ["status"], ["sockets"], ["history"], ["check"], ["--help"], ["help", "signal"], ["pid", "all"]:
        with screen(many, directory, *words, width=width, height=height) as terminal:
            terminal.wait_end()
            lines = terminal.lines(whole=True)
            assert any(lines), words
            assert_fits(terminal, lines)


def begins_well(row):
    """What goes on in the next row, because it was too long, begins with none of these."""
    return not row or row.lstrip().startswith(("master", "reload", "workers", "WORKER", "LISTENER", LONG[:8], "wide", "日本", "more:"))


@pytest.mark.parametrize("words", [["top", "-d", "0.1"], ["status", "-w", "-d", "0.1"]], ids=" ".join)
def test_whole_screens(many, directory, words):
    """Also while somebody pulls at the window."""
    with screen(many, directory, *words) as terminal:
        terminal.wait_text("a-program")
        for width, height in [(80, 24), (40, 10), (200, 50), (61, 7)]:
            terminal.resize(width, height)
            terminal.wait_rows(lambda rows: rows[0].startswith("master") and any(rows[height - 2:]) and all(map(begins_well, rows)),
                               f"{width}x{height}")
        terminal.type("End")
        terminal.wait_text("日本" if words[0] == "status" else "/")
        terminal.type("q")
        terminal.wait_end()


def patient(record, **keys):
    return {"command": configs.recorder(record.path, "--silent", "--ready"), "ready": "message", "disconnect_timeout": "10m", "stop_signal": "KILL",
            **keys}


def let_go(one):
    """Who drains has no connections any more."""
    for worker in one.workers(LONG):
        if worker["state"] == "DRAINING":
            # One that was killed at the look before may be gone since this one.
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker["pid"], signal.SIGKILL)


def all_live_lines(rows):
    return [row for row in rows if re.search(r"\[[#-]*\]", row)]


def block(rows):
    """
    The three rows that are drawn again and again: two programs and the time. Above them may be what the terminal kept of earlier ones when it became
    narrower: it broke them, and what scrolled away then nobody can take back.
    """
    rows = [row for row in rows if row]
    at = next((i for i, row in reversed(list(enumerate(rows))) if row.startswith("a-pro") and all_live_lines([row])), None)
    if at is None or len(rows) < at + 3 or not (rows[at + 1].startswith("quick") and re.match(r"[\d.]+ (ms|s)|\d+ min", rows[at + 2])):
        return None
    return rows[at:]


@pytest.fixture
def deaf(master, directory):
    """deaf(programs, …): a master with such workers; afterwards it is not waited for them."""
    started = []

    def start(programs):
        started.append(master({"programs": programs}))
        return started[0]

    yield start
    for one in started:
        one.call("Shutdown", {"force": True})
        one.wait_end(0)


@pytest.mark.parametrize("words", [["reload"], ["restart", "all"], ["stop", "all"], ["update"]], ids=" ".join)
def test_live_lines(words, deaf, directory):
    """One for each program, with what it waits for, also in a window that gets narrower and wider. How long the bar is tells for which width."""
    record = Record(directory / "record")
    one = deaf({LONG: patient(record, workers=4), "quick": sleeper(workers=2)})
    if words == ["update"]:
        one.programs[LONG]["environment"] = {"X": "1"}
        one.programs["quick"]["environment"] = {"X": "1"}
        one.write()
    with screen(one, directory, *words) as terminal:
        for width, height in [(80, 24), (50, 10), (200, 50), (79, 24)]:
            terminal.resize(width, height)
            terminal.wait_rows(lambda rows: (now := block(rows)) and len(now) == 3 and "draining" in now[0]
                               and len(re.search(r"[#-]+", now[1])[0]) == min(width // 10, 24), f"three rows at {width}")
        # A look may come into a redrawing.
        terminal.wait_rows(lambda rows: (now := block(rows)) and "2 of 2" in now[1], "all of the quick ones")
        proc.wait_until(lambda: let_go(one) or terminal.has_ended(), "its end")
        rows = block(terminal.rows())
        assert "4 of 4" in rows[0] and "2 of 2" in rows[1]
        result = {"reload": "committed", "update": "committed", "restart": "restarted", "stop": "stopped"}[words[0]]
        assert rows[0].endswith(result) and rows[1].endswith(result)


def test_more_programs_than_lines(deaf, directory):
    record = Record(directory / "record")
    programs = {f"program-{number:02}": sleeper() for number in range(30)}
    programs["slow"] = patient(record)
    one = deaf(programs)
    with screen(one, directory, "restart", "all") as terminal:
        terminal.wait(lambda lines: len(all_live_lines(lines)) == 21 and any(line.startswith("slow") and "draining" in line for line in lines)
                      and any("and 10 programs more" in line for line in lines), "the one that matters among them")
        one.call("Signal", {"programs": ["slow"], "signal": "KILL"})
        terminal.wait_end()
        assert_fits(terminal, terminal.lines(whole=True))


def test_without_colour(few, directory):
    for environment, coloured in [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]:
        with screen(few, directory, "restart", "web", environment=environment) as terminal:
            terminal.wait_end()
            text = terminal.capture("-e")
            assert "2 of 2" in text and ("\x1b[" in text) == coloured


@pytest.mark.parametrize("name, words", [("status", ["status"]), ("sockets", ["sockets"]), ("check", ["check"]), ("help", ["--help"]),
                                         ("help-stop", ["help", "stop"]), ("stop", ["stop", "web:1"]), ("reload", ["reload"]),
                                         ("signal", ["signal", "WINCH", "web"]), ("history", ["history"])])
def test_screens(name, words, few, directory):
    """As they are at 80x24."""
    with screen(few, directory, *words, height=100) as terminal:
        terminal.wait_end()
        lines = [line for line in terminal.lines()]
        assert_fits(terminal, lines)
        assert_screen(name, lines)
