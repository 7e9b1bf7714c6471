"""What whoever starts us leaves behind: closed or superfluous descriptors, ignored signals."""
import os
import signal

import pytest

from harness import configs, proc
from harness.master import state
from harness.paths import PYTHON

PREPARE = "import os, signal, sys; {}; os.execv(sys.argv[1], sys.argv[1:])"


def prepared(statement):
    return [PYTHON, "-S", "-c", PREPARE.format(statement)]


@pytest.mark.sanitized
def test_standard_descriptors_closed(master, directory, port):
    """No socket and no file of ours becomes descriptor 0, 1 or 2, where log lines and workers' output go."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["pid_file"] = str(directory / "pid")
    one = master(config, wrapper=prepared("[os.close(fd) for fd in range(3)]"))
    one.expect_reload("committed")
    for pid in (one.pid, *one.pids()):
        standard = [proc.fds(pid).get(fd) for fd in range(3)]
        assert standard == ["/dev/null"] * 3, (proc.describe(pid), standard)
    assert (directory / "pid").read_text() == f"{one.pid}\n"


def test_descriptors_do_not_leak_into_workers(master, directory, port):
    """A worker finds only what is its own."""
    (directory / "secret").touch()
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1),
                 wrapper=prepared(f"os.dup2(os.open('{directory}/secret', 0), 29)"))
    assert str(directory / "secret") not in proc.fds(one.pids()[0]).values()


def test_sigchld_ignored(master, port):
    """With it the kernel would reap our children: the master must still hear of their end."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2), wrapper=prepared("signal.signal(signal.SIGCHLD, signal.SIG_IGN)"))
    before = one.pids()
    os.kill(before[0], signal.SIGKILL)
    one.wait_line("echo/0: died, .*SIGKILL")
    one.wait(lambda status: state(one.slots(status=status)[0]) == "ready", "echo/0 is ready again")
    assert one.pids()[0] != before[0]
