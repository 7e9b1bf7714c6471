"""-d: the parent leaves when all is ready, or with the error; the rest of the command line's ways to start."""
import json
import os
import subprocess

import pytest

from harness import BINARIES, Load, configs, proc
from harness.master import Master
from harness.paths import PYTHON, TOP


def daemonize(directory, config, *arguments):
    config.setdefault("runtime_directory", str(directory / "reloader.run"))
    config.setdefault("pid_file", str(directory / "pid"))
    config.setdefault("log", {"file": str(directory / "daemon.log")})
    path = directory / "daemon.yaml"
    path.write_text(json.dumps(config))
    return subprocess.run([BINARIES.reloader, "-d", "-c", str(path), *arguments], capture_output=True, text=True, timeout=40,
                          stdin=subprocess.DEVNULL, check=False)


@pytest.mark.sanitized
def test_parent_leaves_when_ready(directory, port):
    """0, with every worker ready; the daemon has a session of its own and no terminal, and leaves as asked."""
    done = daemonize(directory, configs.echo(f"127.0.0.1:{port}", workers=2))
    assert done.returncode == 0, done
    pid = int((directory / "pid").read_text())
    assert len(proc.children(pid)) == 2
    assert int(proc.stat(pid)[3]) == pid, "it leads a session of its own"
    # Else whoever reads from us, ssh for one, would wait for the last worker's end.
    for process in (pid, *proc.children(pid)):
        assert {proc.fds(process)[number] for number in (0, 1, 2)} == {"/dev/null"}
        # Its parent leaves a moment before it closes its end of the pipe between them.
        proc.wait_until(lambda: not [what for what in proc.fds(process).values() if what.startswith("pipe")], "no pipe is held")
    status = subprocess.run([BINARIES.reloaderctl, "-s", str(directory / "reloader.run" / "control.sock"), "status"], timeout=20, check=False)
    assert status.returncode == 0
    os.kill(pid, 15)
    proc.wait_gone(pid)
    assert not (directory / "pid").exists()


@pytest.mark.parametrize("change,code,said", [
    ({"command": ["/nonexistent/server"]}, 1, "cannot execute '/nonexistent/server'"),
    ({"command": configs.fault("exit=3"), "start_seconds": "20s"}, 1, "exited with 3"),
    ({"command": configs.fault(), "ready": "notify", "start_timeout": "300ms"}, 1, "ready"),
    ({"workers": 0}, 3, "workers"),
], ids=["missing", "crashes", "never ready", "configuration"])
def test_failing_start(directory, port, change, code, said):
    """The parent says what failed and leaves with it; nothing stays behind."""
    done = daemonize(directory, configs.echo(f"127.0.0.1:{port}", **change))
    assert done.returncode == code, done
    assert said in done.stderr, done
    proc.wait_until(lambda: not [pid for pid in proc.children(os.getpid()) if proc.is_running(pid)], "nobody is left")
    # Who is on the way out has still to close what it holds.
    proc.wait_until(lambda: not proc.tcp_listeners(port), "nobody listens")


def test_address_in_use(directory, port):
    first = daemonize(directory, configs.echo(f"127.0.0.1:{port}", workers=1))
    assert first.returncode == 0
    pid = int((directory / "pid").read_text())
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config.update(runtime_directory=str(directory / "other.run"), pid_file=str(directory / "other.pid"))
    second = daemonize(directory, config)
    assert second.returncode == 1 and f"pid {pid}" in second.stderr, second
    os.kill(pid, 15)
    proc.wait_gone(pid)


def test_run_without_a_file(directory, port):
    """reloader run --listen … --workers … -- COMMAND."""
    server = TOP / "examples" / "python"
    (script,) = server.glob("*.py")
    one = Master(directory, None, arguments=["run", "--listen", f"127.0.0.1:{port}", "--workers", 2, "--set",
                                             f"runtime_directory={directory}/reloader.run", "--", PYTHON, script])
    one.wait_ready()
    assert len(one.pids("python3")) == 2
    with Load(directory, f"127.0.0.1:{port}", echo_rate=0, streams=0, http_rate=100):
        one.expect_reload("committed")
    one.stop()


@pytest.mark.key("pid_file", "process_title")
def test_pid_file_and_title(master, directory, port):
    config = {**configs.echo(f"127.0.0.1:{port}", workers=1), "pid_file": str(directory / "pid"), "process_title": "my title"}
    one = master(config)
    assert (directory / "pid").read_text() == f"{one.pid}\n"
    assert proc.read(one.pid, "cmdline").rstrip(b"\0").decode().startswith("my title")


def test_command_line_wins(master, directory, port):
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1), arguments=["-j", directory / "pid2", "-e", "debug", "-l", directory / "my.log",
                                                                       "--set", "programs.echo.workers=2"])
    assert (directory / "pid2").read_text().strip() == str(one.pid)
    assert len(one.pids()) == 2
    assert "debug" in (directory / "my.log").read_text()
    one.hup()
    assert len(one.pids()) == 2, "they hold at reloads as well"
