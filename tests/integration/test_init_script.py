"""packaging/init.d/reloader, as a system without systemd runs it: its verbs, its exit codes, and what it leaves."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from harness import BINARIES, Load, configs, proc
from harness.paths import TOP

SCRIPT = TOP / "packaging" / "init.d" / "reloader"


class Service:
    def __init__(self, directory, config, shell="sh", **settings):
        self.directory = pathlib.Path(directory)
        self.shell = shell
        self.config = self.directory / "reloader.yaml"
        self.pid_file = self.directory / "reloader.pid"
        self.defaults = self.directory / "default"
        config.setdefault("runtime_directory", str(self.directory / "run"))
        config.setdefault("log", {"file": str(self.directory / "service.log")})
        self.write(config)
        self.set(**settings)

    def write(self, config):
        self.config.write_text(config if isinstance(config, str) else json.dumps(config))

    def set(self, **settings):
        settings = {"DAEMON": BINARIES.reloader, "CONTROL": BINARIES.reloaderctl, "CONFIG": self.config, "PIDFILE": self.pid_file,
                    "RELOADER_CONTROL": self.directory / "run" / "control.sock", **settings}
        self.defaults.write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))

    def run(self, verb, code=0, seconds=50):
        done = subprocess.run([self.shell, SCRIPT, verb], capture_output=True, text=True, timeout=seconds, check=False, cwd="/",
                              stdin=subprocess.DEVNULL, env={"RELOADER_DEFAULTS": str(self.defaults)})
        assert done.returncode == code, f"{verb}: {done}"
        return done.stdout + done.stderr

    @property
    def pid(self):
        return int(self.pid_file.read_text())


@pytest.fixture
def service(directory):
    made = []

    def make(config, **settings):
        made.append(Service(directory, config, **settings))
        return made[-1]

    yield make
    for one in made:
        if one.pid_file.exists():
            one.run("stop")


@pytest.mark.limit(120)
@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_life(service, directory, port, shell):
    one = service(configs.echo(f"127.0.0.1:{port}", workers=2), shell=shell)
    assert "not running" in one.run("status", 3)
    one.run("reload", 7)
    one.run("stop")
    one.run("try-restart")
    one.run("status", 3)
    one.run("start")
    first = one.pid
    workers = proc.children(first)
    assert len(workers) == 2, "it came back when all were ready"
    one.run("start")
    assert one.pid == first and f"pid {first}" in one.run("status")
    with Load(directory, f"127.0.0.1:{port}", 500, 20):
        one.run("reload")
        one.run("force-reload")
        assert one.pid == first
        proc.wait_until(lambda: not set(workers) & set(proc.children(first)), "they are replaced, and have drained")
    one.run("restart")
    assert one.pid != first and not proc.is_running(first)
    second, workers = one.pid, proc.children(one.pid)
    one.run("stop")
    proc.wait_gone(second)
    assert not any(map(proc.is_running, workers)) and not one.pid_file.exists()
    one.run("status", 3)
    one.run("force-reload")
    one.run("status")


def test_stop_is_graceful(service, port):
    one = service(configs.echo(f"127.0.0.1:{port}", workers=1))
    one.run("start")
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(20)
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        script = subprocess.Popen(["sh", SCRIPT, "stop"], env={"RELOADER_DEFAULTS": str(one.defaults)}, stdout=subprocess.DEVNULL)
        assert client.recv(1) == b"", "the end of a drain, no reset"
    assert script.wait(30) == 0


def test_broken_configuration(service, directory, port):
    """Found out while the old one serves: neither reload nor restart takes it away."""
    one = service(configs.echo(f"127.0.0.1:{port}", workers=1))
    good = one.config.read_text()
    one.write("programs: {web: {}}")
    assert "programs.web" in one.run("start", 6)
    one.run("status", 3)
    one.write(good)
    one.run("start")
    pid = one.pid
    one.write("programs: {web: {}}")
    with Load(directory, f"127.0.0.1:{port}", 200, 5):
        assert "programs.web" in one.run("reload", 1)
        assert "programs.web" in one.run("restart", 6)
    assert one.pid == pid
    one.write(good)
    one.run("reload")


def test_start_that_fails(service, port):
    one = service(configs.echo(f"127.0.0.1:{port}", command=["/bin/false"]))
    assert "exited with 1" in one.run("start", 1)
    one.run("status", 3)


@pytest.mark.limit(120)
def test_forced(service, port):
    """Bounded, whatever a worker or the master itself does."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1, command=configs.fault("ignore-term", "ready"), disconnect_timeout="10m",
                          stop_timeout="1s")
    one = service(config, STOP_SECONDS=1, FORCE_SECONDS=20)
    one.run("start")
    pid, workers = one.pid, proc.children(one.pid)
    assert "forcing it" in one.run("stop")
    proc.wait_gone(pid)
    assert not any(map(proc.is_running, workers))
    one.set(STOP_SECONDS=1, FORCE_SECONDS=1)
    one.write({**configs.echo(f"127.0.0.1:{port}", workers=1), "runtime_directory": str(one.directory / "run")})
    one.run("start")
    pid, (worker,) = one.pid, proc.children(one.pid)
    os.kill(pid, signal.SIGSTOP)
    assert "killing it" in one.run("stop")
    proc.wait_gone(pid)
    proc.wait_gone(worker)
    assert "has left" in one.run("status", 1)
    one.run("start")
    assert one.pid != pid


def test_stale_pid_file(service, port):
    """The number of somebody else, who must not be signalled."""
    one = service(configs.echo(f"127.0.0.1:{port}", workers=1))
    with subprocess.Popen(["sleep", "100"]) as stranger:
        for text in (f"{stranger.pid}\n", "", "x\n", "-1\n"):
            one.pid_file.write_text(text)
            one.run("status", 1)
            one.run("stop")
            one.run("reload", 7)
        one.pid_file.write_text(f"{stranger.pid}\n")
        one.run("start")
        assert one.pid != stranger.pid
        one.run("stop")
        assert stranger.poll() is None
        stranger.kill()


def test_usage_and_not_installed(service, port):
    one = service(configs.echo(f"127.0.0.1:{port}"))
    assert "Usage" in one.run("", 2) and "Usage" in one.run("nonsense", 2)
    one.set(DAEMON="/nonexistent")
    one.run("start")
    one.run("status", 4)


def test_header():
    """What insserv reads."""
    text = SCRIPT.read_text()
    block = re.search(r"^### BEGIN INIT INFO\n(.*?)^### END INIT INFO$", text, re.MULTILINE | re.DOTALL)[1]
    fields = dict(re.fullmatch(r"# ([\w-]+): +(.+)", line).groups() for line in block.splitlines())
    assert fields["Provides"] == "reloader" and fields["Default-Start"] == "2 3 4 5" and fields["Default-Stop"] == "0 1 6"
    assert {"Required-Start", "Required-Stop", "Short-Description"} <= set(fields)
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.parametrize("command", [["dash", "-n"], ["shellcheck"]], ids=["dash", "shellcheck"])
def test_lint(command):
    done = subprocess.run([*command, SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 and not done.stdout + done.stderr, done
