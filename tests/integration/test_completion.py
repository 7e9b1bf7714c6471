"""What bash, zsh and fish complete: the real shells, with the script that is installed for each."""
import os
import pathlib
import shutil
import subprocess
import time

import pytest

pytest.importorskip("pyte", reason="needs python3-pyte")

from harness import BINARIES  # noqa: E402
from harness.terminal import Terminal  # noqa: E402

DIRECTORY = pathlib.Path(BINARIES.reloaderctl).parent
BUILT = DIRECTORY / "completion"
PATIENCE_SECONDS = 1  # for the master's answer


@pytest.fixture
def one(master, directory):
    sleeper = {"command": ["sleep", "1000"], "start_seconds": 0}
    return master({"programs": {"web": {**sleeper, "workers": 3}, "api": sleeper, "worker-of-mail": sleeper}})


def environment(one, **more):
    """Our reloaderctl before any other, nobody's own settings, and the master's socket."""
    path = f"{DIRECTORY}:{os.environ['PATH']}"
    home = one.runtime.parent
    return {**os.environ, "PATH": path, "RELOADER_CONTROL": str(one.socket), "HOME": str(home), "ZDOTDIR": str(home), "XDG_CONFIG_HOME": str(home),
            "XDG_DATA_HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8", **more}


def need(shell):
    path = shutil.which(shell)
    assert path, f"{shell} is missing; tools/setup.sh installs it"
    return path


def in_bash(one, line, **more):
    """What bash would put in place of the last word, as its completion function leaves it."""
    script = ('source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; _reloaderctl 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run([need("bash"), "--norc", "-c", script, "bash", BUILT / "reloaderctl", line], env=environment(one, **more),
                          capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return sorted(done.stdout.split())


def in_fish(one, line, **more):
    done = subprocess.run([need("fish"), "--no-config", "-c", f"source {BUILT / 'reloaderctl.fish'}; complete -C '{line}'"],
                          env=environment(one, **more), capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return sorted(line.split("\t")[0] for line in done.stdout.splitlines())


def expect(look, one, line, expected, **more):
    """Who has waited in vain for the master that long completes without it: that is asked again."""
    for _ in range(10):
        began = time.monotonic()
        found = look(one, line, **more)
        if found == expected or time.monotonic() - began < PATIENCE_SECONDS:
            break
    assert found == expected


CASES = [
    ("reloaderctl rel", ["reload"]),
    ("reloaderctl l", ["list", "logs", "ls"]),
    ("reloaderctl sh", ["shell", "shutdown"]),
    ("reloaderctl reload ", ["api", "web", "worker-of-mail"]),
    ("reloaderctl reload web ", ["api", "web", "worker-of-mail"]),
    ("reloaderctl stop w", ["web", "worker-of-mail"]),
    ("reloaderctl stop --force a", ["all", "api"]),
    ("reloaderctl signal USR", ["USR1", "USR2"]),
    ("reloaderctl signal USR1 ap", ["api"]),
    ("reloaderctl tail -n 5 web std", ["stderr", "stdout"]),
    ("reloaderctl stop --fo", ["--force"]),
    ("reloaderctl completion ", ["bash", "fish", "zsh"]),
    ("reloaderctl events --type me", ["message"]),
    ("reloaderctl events --program we", ["web"]),
    ("reloaderctl scale web ", []),
    ("reloaderctl nonsense ", []),
]


@pytest.mark.parametrize("line, expected", CASES)
def test_bash(one, line, expected):
    expect(in_bash, one, line, expected)


@pytest.mark.parametrize("line, expected", CASES)
def test_fish(one, line, expected):
    expect(in_fish, one, line, expected)


def test_slots(one):
    """A colon ends a word in bash, unless its user says otherwise."""
    expect(in_bash, one, "reloaderctl stop web:", ["0", "1", "2"])
    expect(in_fish, one, "reloaderctl stop web:", ["web:0", "web:1", "web:2"])
    expect(in_bash, one, "reloaderctl stop web/", ["web/0", "web/1", "web/2"])


def test_the_socket_that_is_named(one, directory):
    expect(in_bash, one, f"reloaderctl -s {one.socket} reload ", ["api", "web", "worker-of-mail"], RELOADER_CONTROL="/nowhere")


def test_no_master(one):
    """Silently less."""
    assert in_bash(one, "reloaderctl reload ", RELOADER_CONTROL="/nowhere") == []
    assert in_bash(one, "reloaderctl rel", RELOADER_CONTROL="/nowhere") == ["reload"]
    assert in_fish(one, "reloaderctl stop ", RELOADER_CONTROL="/nowhere") == ["all"]


def test_a_master_that_is_stuck(one):
    """It takes a bounded time; the limit of subprocess would tell."""
    one.kill(19)
    try:
        assert in_bash(one, "reloaderctl reload ") == []
        assert in_bash(one, "reloaderctl rel") == ["reload"]
    finally:
        one.kill(18)


def prompt_of(shell, one):
    if shell == "bash":
        return [need("bash"), "--norc", "--noprofile", "-i"], {"PS1": "> "}
    if shell == "zsh":
        home = one.runtime.parent
        functions = home / "functions"
        functions.mkdir()
        shutil.copy(BUILT / "_reloaderctl", functions)
        (home / ".zshrc").write_text(f"PS1='> '\nfpath=({functions} $fpath)\nautoload -U compinit\ncompinit -u -D\n")
        return [need("zsh"), "-d", "-i"], {}
    return [need("fish"), "--no-config", "-i", "-C", f"function fish_prompt; echo '> '; end; source {BUILT / 'reloaderctl.fish'}"], {}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_typed(shell, one, directory):
    """Somebody types, and presses Tab."""
    command, more = prompt_of(shell, one)
    with Terminal(command, environment=environment(one, **more)) as terminal:
        terminal.wait(lambda lines: any(line.startswith(">") for line in lines), "a prompt")
        if shell == "bash":
            terminal.type(f". {BUILT}/reloaderctl\n")
        terminal.type("reloaderctl rest\t")
        terminal.wait_text("reloaderctl restart")
        terminal.type("wor\t")
        terminal.wait_text("reloaderctl restart worker-of-mail")
        terminal.type("web:2 -q\n")
        one.wait(lambda status: [worker["restarts"] >= 0 for worker in one.workers("web", status)], "it still serves")
        terminal.type("exit\n")
        terminal.wait_end()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_zsh_and_the_others_take_what_the_program_prints(shell):
    """`source <(reloaderctl completion SHELL)` is as good as the installed file."""
    printed = subprocess.run([BINARIES.reloaderctl, "completion", shell], capture_output=True, text=True, check=True).stdout
    name = {"bash": "reloaderctl", "zsh": "_reloaderctl", "fish": "reloaderctl.fish"}[shell]
    assert printed == (BUILT / name).read_text()
    assert subprocess.run([need(shell), "-n"], input=printed, text=True, capture_output=True, check=False).returncode == 0
