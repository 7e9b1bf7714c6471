"""reloaderctl check, reload --dry-run, update, and reload PROGRAM: what they say and what they do."""
import json
import os

import pytest
from harness import configs, proc
from harness.paths import BINARIES


def copy(config):
    return json.loads(json.dumps(config))


@pytest.fixture
def two(master, port):
    """web on a TCP socket, api on an abstract one."""
    config = configs.echo(f"127.0.0.1:{port}", workers=2)
    config["sockets"]["api"] = {"listen": "unix:@plan-api"}
    config["programs"]["api"] = {**copy(config["programs"]["echo"]), "sockets": ["api"], "workers": 1}
    return master(config)


def changed(one):
    config = copy(one.config)
    config["sockets"]["more"] = {"listen": "unix:@plan-more"}
    config["sockets"]["echo"]["backlog"] = 77
    config["programs"]["more"] = {**config["programs"]["api"], "sockets": ["more"]}
    config["programs"]["api"]["workers"] = 3
    config["log"] = {"level": "debug"}
    return config


def test_check_says_what_a_reload_would_do(two):
    pids, fds = two.pids(), two.descriptors()
    two.write(changed(two))
    text = two.ctl("check", code=0).stdout
    rows = {tuple(line.split()[:3]) for line in text.splitlines()}
    assert {("change", "socket", "echo"), ("bind", "socket", "more"), ("roll", "program", "api"),
            ("start", "program", "more"), ("roll", "program", "echo")} <= rows
    assert "log.level" in text and "workers: 1 -> 3" in text and "backlog: unset -> 77" in text
    assert two.ctl("reload", "--dry-run", code=0).stdout == text
    assert two.pids() == pids and two.descriptors() == fds
    assert two.status()["reload"]["state"] == "none"


def test_dry_run_of_an_update(two):
    two.write(changed(two))
    plan = json.loads(two.ctl("update", "--dry-run", "--json", code=0).stdout)["plan"]
    actions = {entry["name"]: entry["action"] for entry in plan["programs"]}
    assert actions == {"echo": "keep", "api": "roll", "more": "start"}


def test_what_would_be_refused(two):
    config = copy(two.config)
    config["programs"]["api"]["workers"] = 0
    two.write(config)
    assert "would be refused" in two.ctl("check", code=1).stdout
    assert "workers" in two.ctl("reload", "--dry-run", code=1).stdout
    assert json.loads(two.ctl("check", "--json", code=1).stdout)["result"] == "refused"


def test_check_of_a_file(two, monkeypatch):
    monkeypatch.setenv("PATH", os.path.dirname(BINARIES.reloader), prepend=":")
    good, bad = two.directory / "good.yaml", two.directory / "bad.yaml"
    good.write_text(json.dumps(two.config))
    bad.write_text("programs: {web: {comand: x}}")
    assert "valid" in two.ctl("check", good, code=0).stdout
    assert "did you mean 'command'?" in two.ctl("check", bad, code=1).stderr


def test_nothing_changed(two):
    pids = two.pids()
    assert "no program was touched" in two.ctl("update", code=0).stdout
    assert two.pids() == pids


def test_update_replaces_what_changed(two):
    echo, api = two.pids("echo"), two.pids("api")
    two.write(changed(two))
    two.ctl("update", "-q", code=0).stdout
    assert two.pids("echo") == echo
    assert len(two.pids("api")) == 3 and not set(two.pids("api")) & set(api)
    assert len(two.pids("more")) == 1


def test_update_sees_another_environment(two):
    """A file that the configuration only names, too."""
    file = two.directory / "environment"
    file.write_text("COLOUR=blue\n")
    config = copy(two.config)
    config["programs"]["api"]["environment_file"] = str(file)
    two.write(config)
    two.ctl("update", "-q", code=0).stdout
    echo, api = two.pids("echo"), two.pids("api")
    file.write_text("COLOUR=green\n")
    two.ctl("update", "-q", code=0).stdout
    assert two.pids("echo") == echo and two.pids("api") != api
    assert proc.environment(two.pids("api")[0])["COLOUR"] == "green"


def test_update_sees_another_release(two):
    """A link that leads elsewhere."""
    for name in ("one", "two"):
        (two.directory / name).mkdir()
    current = two.directory / "current"
    current.symlink_to("one")
    config = copy(two.config)
    config["programs"]["api"]["directory"] = str(current)
    two.write(config)
    two.ctl("update", "-q", code=0).stdout
    echo, api = two.pids("echo"), two.pids("api")
    current.unlink()
    current.symlink_to("two")
    two.ctl("update", "-q", code=0).stdout
    assert two.pids("echo") == echo and two.pids("api") != api


def test_reload_of_one_program(two):
    echo, api = two.pids("echo"), two.pids("api")
    two.ctl("reload", "api", "-q", code=0).stdout
    assert two.pids("echo") == echo
    assert not set(two.pids("api")) & set(api)
    entry = two.call("History")["reloads"][-1]
    assert entry["asked"] == ["api"]
    assert {program["name"]: program["result"] for program in entry["programs"]} == {
        "echo": "untouched", "api": "committed"}
    assert "only api" in two.ctl("history", code=0).stdout


def test_reload_of_one_program_takes_no_other_changes(two):
    pids = two.pids()
    two.write(changed(two))
    text = two.ctl("reload", "echo", code=1).stdout
    assert "more than was asked for" in text and "reloaderctl update" in text
    assert two.pids() == pids


def test_each_slot_that_failed_is_told(two):
    """The third of four slots does not start."""
    config = copy(two.config)
    config["programs"]["echo"] = {
        **config["programs"]["echo"], "workers": 4,
        "command": ["sh", "-c", f'[ "$RELOADER_SLOT" = 2 ] && exit 7; exec "{BINARIES.tcp_echo}"'],
        "reload": {"max_unavailable": 1}}
    two.write(config)
    text = two.ctl("reload", "-q", code=1).stdout
    assert "echo/2 exited with 7" in text
    entry = two.call("History")["reloads"][-1]
    slots = {slot["slot"]: slot.get("reason") for program in entry["programs"] if program["name"] == "echo"
             for slot in program["slots"]}
    assert "exited with 7" in slots[2] and slots[0] is None
