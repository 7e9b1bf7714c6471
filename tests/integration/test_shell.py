"""reloaderctl shell, as somebody sees it who types there, and as a script uses it."""
import os
import stat
import subprocess

import pytest

pytest.importorskip("pyte", reason="needs python3-pyte")

from harness import BINARIES, proc  # noqa: E402
from harness.terminal import Terminal  # noqa: E402

PROMPT = "reloader> "


@pytest.fixture
def one(master):
    sleeper = {"command": ["sleep", "1000"], "start_seconds": 0}
    return master({"programs": {"web": {**sleeper, "workers": 2}, "worker-of-mail": sleeper}})


def shell(one, **options):
    return Terminal([BINARIES.reloaderctl, "-s", one.socket, "shell"], environment={"XDG_STATE_HOME": str(one.runtime.parent / "state")}, **options)


def history(one):
    return one.runtime.parent / "state" / "reloader" / "history"


def is_at_prompt(lines):
    filled = [line for line in lines if line]
    return filled and filled[-1] == PROMPT.strip()


def run(terminal, command, expected):
    terminal.wait(is_at_prompt, "the prompt")
    terminal.type(command + "\n")
    terminal.wait(lambda lines: is_at_prompt(lines) and any(expected in line for line in lines), f"{command}: {expected}")


def test_verbs(one):
    with shell(one) as terminal:
        run(terminal, "status", "2 of 2 ready")
        run(terminal, "pid", str(one.pid))
        run(terminal, "stop web:1", "1 of 1  stopped")
        run(terminal, "start web:1", "1 of 1  started")
        run(terminal, "reread", "stay as they are")
        run(terminal, "update", "no program was touched")
        run(terminal, "reload", "reload 2 committed")
        run(terminal, "avail", "2 of 2 ready")
        run(terminal, "signal WINCH web:0", "SIGWINCH sent to pid")
        run(terminal, "nonsense", "unknown command 'nonsense'")
        terminal.type("help\n")
        terminal.wait_text("exit")
        terminal.wait(is_at_prompt, "the prompt")
        terminal.type("quit\n")
        assert terminal.wait_end() == 0
    assert one.status()["master"]["state"] == "running", "quit leaves the shell, not the master"


def test_help_tells_what_reload_is(one):
    with shell(one, width=120) as terminal:
        run(terminal, "help reload", "graceful")
        terminal.type("exit\n")
        assert terminal.wait_end() == 0


def test_completion(one):
    with shell(one) as terminal:
        terminal.wait(is_at_prompt, "the prompt")
        terminal.type("resta\t")
        terminal.wait_text(PROMPT + "restart")
        terminal.type("w\t")
        terminal.wait(lambda lines: any("worker-of-mail" in line and "READY" in line for line in lines), "both that begin so")
        terminal.type("o\t")
        terminal.wait_text(PROMPT + "restart worker-of-mail")
        terminal.type("\n")
        terminal.wait_text("restarted")
        terminal.wait(is_at_prompt, "the prompt")
        terminal.type("exit\n")
        assert terminal.wait_end() == 0


def test_history(one):
    with shell(one) as terminal:
        run(terminal, "pid", str(one.pid))
        run(terminal, "pid web", str(one.pids("web")[0]))
        terminal.type("exit\n")
        assert terminal.wait_end() == 0
    path = history(one)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [name.name for name in path.parent.iterdir()] == ["history"]
    with shell(one) as terminal:
        terminal.wait(is_at_prompt, "the prompt")
        terminal.type("\x1b[A\x1b[A")
        terminal.wait_text(PROMPT + "pid web")
        terminal.type("\n")
        terminal.wait_text(str(one.pids("web")[0]))
        terminal.type("exit\n")
        assert terminal.wait_end() == 0


def test_history_is_bounded(one):
    path = history(one)
    path.parent.mkdir(parents=True)
    path.write_text("_HiStOrY_V2_\n" + "".join(f"pid\\040web:{number}\n" for number in range(5000)))
    path.chmod(0o644)
    with shell(one) as terminal:
        run(terminal, "pid", str(one.pid))
        terminal.type("exit\n")
        assert terminal.wait_end() == 0
    assert len(path.read_text().splitlines()) <= 1001 and stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["link", "symlink", "fifo"])
def test_what_is_in_the_way_of_history_is_not_written_to(one, kind):
    """sudo keeps HOME in places: root writes where somebody else may have put something."""
    other, path = one.runtime.parent / "other", history(one)
    temporary = path.with_name("history.new")
    path.parent.mkdir(parents=True)
    other.write_text("of another\n")
    other.chmod(0o644)
    {"link": lambda: temporary.hardlink_to(other),
     "symlink": lambda: temporary.symlink_to(other),
     "fifo": lambda: os.mkfifo(temporary)}[kind]()
    with shell(one) as terminal:
        run(terminal, "pid", str(one.pid))
        terminal.type("exit\n")
        assert terminal.wait_end() == 0
    assert other.read_text() == "of another\n" and stat.S_IMODE(other.stat().st_mode) == 0o644
    assert path.read_text().splitlines()[1:] == ["pid", "exit"] and not temporary.exists()


def test_shutdown_asks(one):
    with shell(one) as terminal:
        terminal.wait(is_at_prompt, "the prompt")
        terminal.type("shutdown\n")
        terminal.wait_text("[y/N]")
        terminal.type("\n")
        terminal.wait_text("nothing is done")
        run(terminal, "pid", str(one.pid))
        terminal.type("shutdown\n")
        terminal.wait(lambda lines: sum("[y/N]" in line for line in lines) == 2, "the question again")
        terminal.type("y\n")
        terminal.wait_text("is gone after")
        run(terminal, "pid web", "no master answers")
        terminal.type("exit\n")
        assert terminal.wait_end() == 0
    one.wait_end(0)


def test_a_master_that_goes_away_and_another(one):
    with shell(one) as terminal:
        run(terminal, "pid", str(one.pid))
        one.stop()
        run(terminal, "status", "no master answers")
        run(terminal, "reload", "no master answers")
        terminal.type("exit\n")
        assert terminal.wait_end() == 0


def test_keys_of_a_terminal(one):
    """Ctrl-C ends a command, or clears a line; Ctrl-D leaves."""
    with shell(one) as terminal:
        terminal.wait(is_at_prompt, "the prompt")
        terminal.type("shutdown")
        terminal.wait_text(PROMPT + "shutdown")
        terminal.type("\x03")
        terminal.wait(is_at_prompt, "an empty line")
        terminal.type("events\n")
        proc.wait_until(lambda: proc.children(terminal.pid), "it runs")
        # The first of these that ends after it has subscribed is an event.
        terminal.wait(lambda lines: any("ended: committed" in line for line in lines) or not one.hup(), "an event")
        terminal.type("\x03")
        terminal.wait(is_at_prompt, "the prompt")
        assert proc.children(terminal.pid) == []
        terminal.type("\x04")
        assert terminal.wait_end() == 0


def script(one, text):
    return subprocess.run([BINARIES.reloaderctl, "-s", one.socket, "shell"], input=text, capture_output=True, text=True, timeout=60, check=False)


def test_without_a_terminal(one):
    done = script(one, "# a comment\n\n   pid\nstop 'web:1' -q\npid web\nexit\npid\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(one.pid), str(one.pids("web")[0])]
    assert not history(one).exists()


def test_the_first_failure_is_the_exit_status(one):
    done = script(one, "pid\nversion nonsense\nstop nobody\npid")
    assert done.returncode == 2 and done.stdout.split() == [str(one.pid)] * 2
    assert "takes no argument" in done.stderr and "nobody" in done.stderr
    assert script(one, "stop nobody\nnonsense\n").returncode == 1
    assert script(one, "pid 'web\n").returncode == 2
    one.stop()
    assert script(one, "status\n").returncode == 3


def test_many_commands(one):
    """Whatever its end, nobody is left behind: the harness looks for that."""
    done = script(one, "pid\n" * 200)
    assert done.stdout.split() == [str(one.pid)] * 200
    assert done.returncode == 0


def test_no_shell_in_the_shell(one):
    done = script(one, "shell\n")
    assert done.returncode == 2 and "shell already" in done.stderr
