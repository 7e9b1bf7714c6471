"""reloaderctl top on a terminal, as somebody sees it who sits there."""
import json
import os
import signal
import termios

import pytest

pytest.importorskip("pyte", reason="needs python3-pyte")

from harness import BINARIES, configs, proc  # noqa: E402
from harness.terminal import Terminal  # noqa: E402

BUSY = ["/usr/bin/python3", "-S", "-c", "while True: pass"]
LARGE = ["/usr/bin/python3", "-S", "-c", "import time\nx = bytearray(b'x') * 100_000_000\ntime.sleep(1000)"]
LEAVE_SCREEN = b"\x1b[?25h\x1b[?1049l"


def program(command, **keys):
    return {"command": command, "start_seconds": "50ms", **keys}


@pytest.fixture
def one(master):
    return master({"programs": {"quiet": program(["sleep", "1000"], workers=2), "busy": program(BUSY), "large": program(LARGE)}})


def top(one, *options, **how):
    return Terminal([BINARIES.reloaderctl, "-s", one.socket, "top", "-d", "0.2", *options], **how)


def rows(lines):
    """Names of workers from the top down."""
    at = next((i for i, line in enumerate(lines) if line.startswith("WORKER")), len(lines))
    return [line.split()[0] for line in lines[at + 1:] if "/" in line]


def order(*names):
    return lambda lines: rows(lines) == list(names)


def is_restored(terminal):
    return terminal.output.endswith(LEAVE_SCREEN) and termios.tcgetattr(terminal.fd) == terminal.before


def test_orders(one):
    with top(one) as terminal:
        terminal.wait(lambda lines: rows(lines)[:1] == ["busy/0"], "the busy one first")
        terminal.type("m")
        terminal.wait(lambda lines: rows(lines)[:1] == ["large/0"], "the large one first")
        terminal.type("n")
        terminal.wait(order("busy/0", "large/0", "quiet/0", "quiet/1"), "by name")
        terminal.type("r")
        terminal.wait(order("quiet/1", "quiet/0", "large/0", "busy/0"), "the other way round")
        one.ctl("stop", "quiet:0", code=0)
        terminal.type("sr")
        terminal.wait(lambda lines: rows(lines)[:1] == ["quiet/0"], "by state")
        terminal.type("?")
        terminal.wait_text("sort by memory")
        terminal.type("?")
        terminal.wait(rows, "the workers again")
        terminal.type("q")
        assert terminal.wait_end() == 0
        assert is_restored(terminal)


def test_graphs_are_alive(one):
    """One column a look, at most 16; in UTF-8 or not."""
    def graph(lines):
        row = next((line for line in lines if line.startswith("busy/0")), "")
        return row.split("%")[1].split()[0] if "%" in row else ""

    with top(one) as terminal:
        assert set(terminal.wait(lambda lines: len(graph(lines)) >= 16 and graph(lines), "a whole graph")) <= set("▁▂▃▄▅▆▇█")
    with top(one, environment={"LC_ALL": "C"}) as terminal:
        assert set(terminal.wait(lambda lines: len(graph(lines)) >= 3 and graph(lines), "a graph")) <= set("_.:-=+*#")


def test_cpu_since_the_last_look(master):
    """A worker that was busy and rests now: status still tells the average, top that it rests."""
    script = "import time\nwhile time.process_time() < 1: pass\ntime.sleep(1000)"
    one = master({"programs": {"was": program(["/usr/bin/python3", "-S", "-c", script])}})
    (pid,) = one.pids()
    proc.wait_until(lambda: proc.stat(pid)[0] == b"S" and sum(map(int, proc.stat(pid)[11:13])) > 50, "it rests", 40)
    looks = [json.loads(line) for line in one.ctl("top", "--json", "-n", "3", "-d", "0.2", code=0).stdout.splitlines()]
    first, *later = [one.workers(status=status)[0] for status in looks]
    assert len(later) == 2 and first["cpu"] > 0
    assert [worker["cpu"] for worker in later] == [0, 0]
    assert one.workers(status=json.loads(one.ctl("status", "--json").stdout))[0]["cpu"] > 0


def test_size(master):
    """Never more than the screen, from the start and whenever it changes; what does not fit can be scrolled to."""
    one = master({"programs": {"many": program(["sleep", "1000"], workers=30)}})
    with top(one, width=60, height=12) as terminal:
        terminal.wait_text("more: arrow and page keys")
        assert terminal.lines()[0].startswith("master") and rows(terminal.lines())
        terminal.type("n\x1b[F")
        terminal.wait(lambda lines: rows(lines)[-1:] == ["many/29"] and lines[-1] == "the end", "the end")
        assert terminal.lines()[0].startswith("master")
        terminal.type("\x1b[H\x1b[B")
        terminal.wait(lambda lines: rows(lines)[:1] == ["many/1"], "one further down")
        for width, height in ((120, 50), (40, 10), (20, 4), (200, 24)):
            terminal.resize(width, height)
            terminal.wait(lambda lines, n=height: lines[0].startswith("master") and len(rows(lines)) >= min(n - 8, 29), "drawn anew")
            assert len([line for line in terminal.lines() if line.startswith("master")]) == 1
        terminal.type("q")
        assert terminal.wait_end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_restore_the_terminal(one, number):
    with top(one) as terminal:
        terminal.wait(rows, "a look")
        if number == signal.SIGINT:
            terminal.type("\x03")
        else:
            os.kill(terminal.pid, number)
        assert terminal.wait_end() == -number
        assert is_restored(terminal)


def test_stopped_and_continued(one):
    """Ctrl-Z gives the shell its screen, fg brings ours back."""
    with Terminal(["/bin/bash", "--norc", "-i"], environment={"PS1": "$ "}) as terminal:
        terminal.type(f"{BINARIES.reloaderctl} -s {one.socket} top\n")
        terminal.wait(rows, "a look")
        terminal.type("\x1a")
        terminal.wait_text("Stopped")
        assert terminal.output.count(LEAVE_SCREEN) == 1
        terminal.type("stty -a | grep -c ' icanon.* echo '; fg\n")
        terminal.wait(lambda lines: terminal.output.count(b"\x1b[?1049h") == 2 and rows(lines), "it goes on")
        terminal.type("q")
        terminal.wait(lambda _: terminal.output.count(LEAVE_SCREEN) == 2, "the shell again")
        terminal.type("exit 7\n")
        assert terminal.wait_end() == 7


def test_a_silent_master(one):
    with top(one) as terminal:
        terminal.wait(rows, "a look")
        one.kill(signal.SIGSTOP)
        try:
            terminal.wait_text("the master is silent")
            assert rows(terminal.lines()), "what was known last is still there"
            terminal.type("n")
            terminal.wait(lambda lines: rows(lines)[:1] == ["busy/0"], "keys are heard")
        finally:
            one.kill(signal.SIGCONT)
        terminal.wait(lambda lines: not any("silent" in line for line in lines), "it answers again")
        one.stop()
        assert terminal.wait_end() == 3
        assert b"has it left?" in terminal.output
        assert termios.tcgetattr(terminal.fd) == terminal.before


def test_what_workers_say_steers_nothing(master):
    one = master({"programs": {"evil": {"command": configs.fault("ready", 'line={"reloader":"status","text":"\\u001b[2Jx\\u001b]0;y"}')}}})
    one.wait(lambda _: one.workers()[0].get("text"), "it said that")
    with top(one, width=150) as terminal:
        terminal.wait_text("?[2Jx?]0;y")
        assert b"\x1b]0" not in terminal.output
        terminal.type("q")
        assert terminal.wait_end() == 0


def test_without_a_terminal(one):
    """Whole tables, one after the other, without a sequence."""
    out = one.ctl("top", "-n", "2", "-d", "0.1", code=0).stdout
    assert out.count("master  pid") == 2 and "\x1b" not in out and out.count("quiet/1") == 2
    for bad in (["-n", "0"], ["-d", "0.01"], ["-d", "1h30"], ["extra"]):
        assert one.ctl("top", *bad).returncode == 2
