"""reload.check_command: a version that is not fit to be tried changes nothing."""
import json
import os
import re
import shlex
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import BINARIES, configs, proc
from harness.changes import ports
from harness.master import Master

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
TAKES_ITS_TIME = "echo $$ > {directory}/pid.new; mv {directory}/pid.new {directory}/pid; "


def checked(port, script, **program):
    """tcp-echo behind a check that is a line of shell."""
    config = configs.echo(f"127.0.0.1:{port}", workers=2, **program)
    config["programs"]["echo"].setdefault("reload", {})["check_command"] = ["sh", "-c", script]
    return config


def set_check(one, script):
    one.programs["echo"]["reload"]["check_command"] = ["sh", "-c", script]
    one.write()


def await_file(path):
    proc.wait_until(path.exists, f"{path} is there")
    return path.read_text()


@pytest.mark.sanitized
def test_passes(master, directory, port):
    one = master(checked(port, f"env > {directory}/environment; pwd > {directory}/where; ls -l /proc/self/fd > {directory}/fds"))
    one.wait_ready()
    assert not (directory / "environment").exists(), "the start is no reload"
    one.hup()
    environment = dict(line.split("=", 1) for line in (directory / "environment").read_text().splitlines() if "=" in line)
    assert environment["RELOADER_PROGRAM"] == "echo" and environment["RELOADER_GENERATION"] == "2"
    assert not {"LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "RELOADER_CHANNEL_FD", "RELOADER_SLOT"} & environment.keys()
    assert (directory / "where").read_text().strip() == str(directory)
    assert "socket:" not in (directory / "fds").read_text()


@pytest.mark.key("programs.NAME.reload.check_command")
@pytest.mark.sanitized
def test_fails(master, port):
    """Refused, with its output, in the log, in the reply and by reloaderctl; nobody was touched."""
    one = master(checked(port, "echo 'app.js:3: Unexpected token' >&2; echo; echo in vain; exit 3"))
    one.wait_ready()
    before = one.pids()
    reply = one.expect_reload("refused")
    assert reply["reason"] == "echo: check_command exited with 3:\napp.js:3: Unexpected token\n\nin vain"
    assert one.pids() == before and one.generation() == 1
    one.wait_line(r"error   echo: check_command exited with 3:$")
    one.wait_line(r"error   app.js:3: Unexpected token$")
    done = one.ctl("reload", code=1)
    assert re.search(r"^reload 2 refused after .*: echo: check_command exited with 3:\n  app.js:3: Unexpected token\n  \n  in vain$",
                     done.stdout, re.MULTILINE), done.stdout
    set_check(one, "exit 0")
    one.hup()
    assert one.generation() == 2, "what was refused made no generation"


@pytest.mark.parametrize("script,reason", [
    ("kill -SEGV $$", r"echo: check_command died of SIGSEGV"),
    ("head -c 100000 /dev/zero | tr '\\0' x; echo; echo the end; exit 1", r"echo: check_command exited with 1:\n\[…\] x+\nthe end"),
    ("printf '\\033[2J\\007bell\\377\\n'; exit 1", r"echo: check_command exited with 1:\n\?\[2J\?bell\?"),
    ("sleep 1000 & echo left a child; exit 1", r"echo: check_command exited with 1:\nleft a child"),
])
def test_fails_in_other_ways(master, port, script, reason):
    one = master(checked(port, script))
    one.wait_ready()
    reply = one.expect_reload("refused")
    assert re.fullmatch(reason, reply["reason"]), reply["reason"]
    proc.wait_until(lambda: len(proc.descendants(one.pid)) == 2, "none but the workers are left")


def test_cannot_be_started(master, port):
    config = checked(port, "")
    config["programs"]["echo"]["reload"]["check_command"] = ["/nonexistent/checker", "--all"]
    one = master(config)
    one.wait_ready()
    reply = one.expect_reload("refused")
    assert reply["reason"] == "echo: check_command: cannot execute '/nonexistent/checker': No such file or directory"


def test_takes_too_long(master, directory, port):
    """start_timeout bounds it; its children go with it."""
    one = master(checked(port, TAKES_ITS_TIME.format(directory=directory) + "trap '' TERM; sleep 1000 & wait; wait",
                         start_timeout="3s"))
    one.wait_ready()
    reply = one.expect_reload("refused")
    assert reply["reason"] == "echo: check_command did not end within 3.0 s (start_timeout)"
    proc.wait_gone(int(await_file(directory / "pid")))
    proc.wait_until(lambda: len(proc.descendants(one.pid)) == 2, "none but the workers are left")


def test_newer_reload_supersedes_a_check(master, directory, port):
    one = master(checked(port, TAKES_ITS_TIME.format(directory=directory) + "exec sleep 1000"))
    one.wait_ready()
    with one.connect() as waiting:
        waiting.send("Reload", {"wait": True})
        pid = int(await_file(directory / "pid"))
        assert one.status()["reload"] == {"id": 1, "state": "checking"} and one.status()["master"]["state"] == "reloading"
        set_check(one, "exit 0")
        one.expect_reload("committed")
        reply = waiting.receive()["parameters"]
    assert reply["result"] == "superseded" and reply["reason"] == "superseded by reload 2"
    proc.wait_gone(pid)
    assert one.generation() == 2


@pytest.mark.sanitized
def test_newer_reload_has_more_slots(master, directory, port):
    """The sockets that it brought are not closed with what the older one leaves behind."""
    config = checked(port, f"[ -e {directory}/go ] || {{ {TAKES_ITS_TIME.format(directory=directory)} exec sleep 1000; }}")
    config["sockets"]["echo"]["sharing"] = "per_worker"
    one = master(config)
    one.wait_ready()
    one.kill(signal.SIGHUP)
    await_file(directory / "pid")
    (directory / "go").touch()
    one.programs["echo"]["workers"] = 4
    one.write()
    one.expect_reload("committed")
    sockets = [proc.socket_inode(pid, 3) for pid in one.pids()]
    assert len(set(sockets)) == 4 and sorted(sockets) == sorted(proc.tcp_listeners(port))


def test_broken_file_does_not_end_a_check(master, directory, port):
    """What is refused supersedes nothing."""
    os.mkfifo(directory / "gate")
    one = master(checked(port, TAKES_ITS_TIME.format(directory=directory) + f"read line < {directory}/gate"))
    one.wait_ready()
    with one.connect() as waiting:
        waiting.send("Reload", {"wait": True})
        await_file(directory / "pid")
        good = dict(one.config)
        one.write("programs: {")
        one.expect_reload("refused")
        one.write(good)
        assert one.status()["reload"]["state"] == "checking"
        with open(directory / "gate", "w", encoding="ascii") as gate:
            gate.write("go\n")
        assert waiting.receive()["parameters"]["result"] == "committed"


def test_running_reload_goes_on_meanwhile(master, directory, port):
    """A rollout is not held up, nor ended, by the check of the next one, which may come to nothing."""
    os.mkfifo(directory / "gate")
    closed = directory / "closed"
    command = ["sh", "-c", f"while [ -e {closed} ]; do sleep 0.02; done; exec {BINARIES.tcp_echo}"]
    one = master(checked(port, "exit 0", command=command, ready="message"))
    one.wait_ready()
    closed.touch()
    with one.connect() as first, one.connect() as second:
        first.send("Reload", {"wait": True})
        one.wait(lambda status: status["reload"]["state"] == "canaries", "the first one has begun")
        set_check(one, TAKES_ITS_TIME.format(directory=directory) + f"read line < {directory}/gate; exit 1")
        second.send("Reload", {"wait": True})
        await_file(directory / "pid")
        closed.unlink()
        assert first.receive()["parameters"]["result"] == "committed"
        assert one.status()["reload"] == {"id": 2, "state": "checking"}
        with open(directory / "gate", "w", encoding="ascii") as gate:
            gate.write("go\n")
        assert second.receive()["parameters"]["result"] == "refused"
    assert one.status()["master"]["state"] == "running"
    assert one.generation() == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_shutdown_during_a_check(master, directory, port, number):
    one = master(checked(port, TAKES_ITS_TIME.format(directory=directory) + "trap '' TERM; sleep 1000 & wait; wait"))
    one.wait_ready()
    with one.connect() as waiting:
        waiting.send("Reload", {"wait": True})
        await_file(directory / "pid")
        one.stop(number)
        assert waiting.receive()["parameters"]["result"] == "superseded"


def test_new_release_is_what_is_checked(master, directory, port):
    """In the directory that the new generation's workers will have."""
    for name in ("1", "2"):
        (directory / name).mkdir()
    (directory / "current").symlink_to("1")
    (directory / "2" / "broken").touch()
    one = master(checked(port, "test ! -e broken", directory=str(directory / "current")))
    one.wait_ready()
    one.hup()
    (directory / "current").unlink()
    (directory / "current").symlink_to("2")
    one.hup("refused")
    (directory / "2" / "broken").unlink()
    one.hup()


def test_expansions(master, directory, port):
    config = checked(port, "")
    config["programs"]["echo"]["reload"]["check_command"] = f"sh -c {shlex.quote('echo $0 $1 > ' + str(directory) + '/words')} %(program_name)s %(generation)s"
    one = master(config)
    one.wait_ready()
    one.hup()
    assert (directory / "words").read_text() == "echo 2\n"


def test_no_sockets_in_it(master, directory, port):
    config = checked(port, "")
    config["programs"]["echo"]["reload"]["check_command"] = ["checker", "%(fd:echo)s"]
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2))
    one.wait_ready()
    one.write(config | {"runtime_directory": str(one.runtime)})
    reply = one.expect_reload("refused")
    assert re.search(r"reloader\.yaml:\d+:\d+: programs\.echo\.reload\.check_command: ", reply["reason"]), reply["reason"]
    assert json.dumps(reply)


def outlive_the_master(directory, port, leader):
    """Of another user's, as by sudo: it ends no reload and no shutdown later than it has to. Returns the master."""
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    tool = directory / "as-root"
    shutil.copy(shutil.which("setpriv"), tool)
    tool.chmod(0o4755)
    unkillable = f"{tool} --reuid=0 --regid=0 --clear-groups sh -c 'echo $$ > {directory}/pid.new; mv {directory}/pid.new {directory}/pid; exec sleep 1000'"
    script = f"exec {unkillable}" if leader else f"{unkillable} & until [ -e {directory}/pid ]; do sleep 0.1; done; exit 1"
    one = Master(directory, checked(port, script), wrapper=NOBODY)
    one.wait_ready()
    with one.connect() as waiting:
        waiting.send("Reload", {"wait": True})
        pid = int(await_file(directory / "pid"))
        if not leader:
            assert waiting.receive()["parameters"]["result"] == "refused"
        one.stop(complete=False)
        if leader:
            assert waiting.receive()["parameters"]["result"] == "superseded"
    assert proc.is_running(pid)
    os.kill(pid, signal.SIGKILL)
    proc.wait_gone(pid)
    return one


@pytest.mark.root
def test_one_that_cannot_be_killed(directory):
    """The leader of its group, and another one: side by side, because the master gives them ten seconds."""
    with ThreadPoolExecutor() as both:
        ended = [both.submit(outlive_the_master, directory / name, port, name == "leader") for name, port in zip(("leader", "other"), ports(2))]
    for one in [future.result() for future in ended]:
        one.log.wait(r"error echo: check_command: processes of its group \d+ do not die of SIGKILL")
