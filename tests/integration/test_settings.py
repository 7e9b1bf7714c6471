"""What a reload changes of the master itself: its control socket, its log, its title."""
import json
import os
import stat
import subprocess

import pytest
from harness import BINARIES, configs, proc

BROKEN = ["sh", "-c", "exit 3"]


def copy(config):
    return json.loads(json.dumps(config))


@pytest.fixture
def one(master, port):
    return master(configs.echo(f"127.0.0.1:{port}", workers=1))


def with_control(one, **control):
    config = copy(one.config)
    config["control"] = {key: value if isinstance(value, bool) else str(value) for key, value in control.items()}
    return config


@pytest.mark.key("control.socket")
def test_control_socket_moves(one):
    """Who waits for the reload over the old socket gets its result there; then the old one is gone."""
    old, new = one.socket, one.directory / "other.sock"
    one.write(with_control(one, socket=new))
    with one.connect() as waiting:
        assert waiting.call("Reload")["result"] == "committed"
        assert not os.path.exists(old)
        one.socket = new
        assert one.status()["master"]["pid"] == one.pid
        assert waiting.call("Version")["version"]
    assert one.ctl("status", code=0)


def test_control_socket_goes_and_comes_back(one):
    before = copy(one.config)
    one.write(with_control(one, socket="none"))
    assert one.call("Reload")["result"] == "committed"
    assert not os.path.exists(one.socket)
    seen = len(one.log.read())
    one.write(before)
    one.kill(1)
    one.wait_line(r"control: serves on .*control\.sock now", start=seen)
    assert one.status()["reload"]["result"] == "committed"


@pytest.mark.key("control.mode")
def test_mode_of_the_control_socket(one):
    inode = os.stat(one.socket).st_ino
    one.write(with_control(one, mode="0666"))
    assert one.reload()["result"] == "committed"
    now = os.stat(one.socket)
    assert stat.S_IMODE(now.st_mode) == 0o666 and now.st_ino == inode


@pytest.mark.key("control.expose")
def test_workers_know_the_control_socket(one):
    """Only where it is exposed; one that a surrounding master has exposed is not theirs."""
    assert "RELOADER_CONTROL" not in proc.environment(one.pids()[0])
    one.write(with_control(one, expose=True))
    one.expect_reload("committed")
    told = proc.environment(one.pids()[0])["RELOADER_CONTROL"]
    done = subprocess.run([BINARIES.reloaderctl, "pid"], env={"RELOADER_CONTROL": told}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(one.pid)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a socket to any group")
def test_group_of_the_control_socket(one):
    one.write(with_control(one, group="daemon"))
    assert one.reload()["result"] == "committed"
    now = os.stat(one.socket)
    assert (now.st_gid, stat.S_IMODE(now.st_mode)) == (1, 0o660)


def test_failure_leaves_the_control_socket(one):
    new = one.directory / "other.sock"
    config = with_control(one, socket=new)
    config["programs"]["echo"]["command"] = BROKEN
    before = one.descriptors()
    one.write(config)
    assert one.reload()["result"] == "rolled_back"
    assert not os.path.exists(new)
    assert one.descriptors() == before


def test_control_socket_of_another_master(one, master, port):
    other = master(configs.echo("unix:@another-echo", workers=1), name="other")
    one.write(with_control(one, socket=other.socket))
    reply = one.reload()
    assert reply["result"] == "refused" and f"pid {other.pid}" in reply["reason"]
    assert other.status()["master"]["pid"] == other.pid


def test_newer_reload_to_the_same_new_socket(one):
    """The first one has bound it and is still at work when the second one asks for it."""
    new = one.directory / "other.sock"
    config = with_control(one, socket=new)
    config["programs"]["echo"]["reload"] = {"probation": "60s"}
    one.write(config)
    with one.connect() as first, one.connect() as second:
        first.send("Reload")
        one.wait(lambda status: status["reload"].get("state") == "canaries", "the first one is at work")
        config["programs"]["echo"]["reload"] = {}
        one.write(config)
        assert second.call("Reload")["result"] == "committed"
        assert first.receive()["parameters"]["result"] == "superseded"
    one.socket = new
    assert one.status()["reload"]["result"] == "committed"


def test_process_title(one):
    one.write({**one.config, "process_title": "shop front"})
    assert one.reload()["result"] == "committed"
    assert proc.read(one.pid, "cmdline").rstrip(b"\0") == b"shop front"


@pytest.mark.key("log.file")
def test_log_moves(one):
    log = one.directory / "moved.log"
    one.write({**one.config, "log": {"file": str(log), "level": "debug"}})
    assert one.reload()["result"] == "committed"
    assert one.reload()["result"] == "committed"
    assert "reload 2 committed" in log.read_text()


def test_only_the_settings(one):
    """An update for their sake touches no worker."""
    pids = one.pids()
    one.write({**with_control(one, mode="0640"), "log": {"level": "debug"}})
    result = one.reload(changed_only=True)
    assert result["result"] == "committed"
    assert {entry["result"] for entry in result["programs"]} == {"untouched"}
    assert one.pids() == pids
