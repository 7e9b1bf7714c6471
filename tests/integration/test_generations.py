"""What a generation is made of: a deploy that swaps a symbolic link takes effect at the reload, whole, and not before."""
import os
import shutil

import pytest

from harness import configs, proc
from harness.record import Record

WORKER = """#!/usr/bin/python3 -S
import os, sys
with open(sys.argv[1], "a") as record:
    record.write('{"event": "start", "release": "%s", "directory": "%s", "pid": %d, "generation": %s}\\n'
                 % (RELEASE, os.getcwd(), os.getpid(), os.environ["RELOADER_GENERATION"]))
channel = os.fdopen(int(os.environ["RELOADER_CHANNEL_FD"]), "r+b", buffering=0)
channel.write(b'"ready"\\n')
channel.readline()
"""


class Releases:
    """A directory as deploys leave it: releases/1, releases/2, and `current`, which leads to one of them."""

    def __init__(self, directory):
        self.top = directory / "app"
        self.current = self.top / "current"
        self.record = Record(directory / "record")

    def make(self, name):
        release = self.top / "releases" / name
        release.mkdir(parents=True)
        program = release / "serve"
        program.write_text(WORKER.replace("RELEASE", repr(name), 1))
        program.chmod(0o755)
        return release

    def switch(self, name):
        draft = self.top / "draft"
        draft.symlink_to(f"releases/{name}")
        draft.replace(self.current)

    def config(self, *command):
        return {"programs": {"app": {"command": [*(command or ["./serve"]), str(self.record.path)], "workers": 2, "ready": "message",
                                     "directory": str(self.current), "backoff": {"initial": "10ms"}}}}

    def starts(self, count):
        return [(entry["release"], entry["generation"]) for entry in self.record.wait(count, event="start")][-1]


@pytest.fixture
def releases(directory):
    made = Releases(directory)
    made.make("1")
    made.make("2")
    made.switch("1")
    return made


def crash(one, slot):
    """Kills a worker and waits until another one is ready in its place."""
    def ready(status):
        return [worker for worker in one.slots(status=status)[slot]["workers"] if worker["state"] == "READY"]
    (before,) = ready(one.status())
    os.kill(before["pid"], 9)
    status = one.wait(lambda status: any(worker["pid"] != before["pid"] for worker in ready(status)), "another worker is ready")
    return ready(status)[0]


@pytest.mark.sanitized
def test_link_takes_effect_at_the_reload(master, releases):
    one = master(releases.config())
    one.wait_ready()
    releases.switch("2")
    assert not crash(one, 0)["mixed"]
    assert releases.starts(3) == ("1", 1)
    one.hup()
    assert {entry["release"] for entry in releases.record.entries(generation=2)} == {"2"}
    assert not crash(one, 0)["mixed"]
    assert releases.starts(6) == ("2", 2)
    assert os.readlink(f"/proc/{one.workers()[0]['pid']}/cwd") == str(releases.top / "releases" / "2")


def test_rolled_back_to_the_old_directory(master, releases):
    """A release that does not start takes nobody anywhere, although `current` leads to it."""
    one = master(releases.config())
    one.wait_ready()
    (releases.top / "releases" / "2" / "serve").write_text("#!/bin/sh\nexit 1\n")
    releases.switch("2")
    one.hup("rolled_back")
    crash(one, 1)
    assert releases.starts(3) == ("1", 1)


def test_renamed_release(master, releases):
    one = master(releases.config())
    one.wait_ready()
    moved = releases.top / "releases" / "moved"
    (releases.top / "releases" / "1").rename(moved)
    assert not crash(one, 0)["mixed"]
    assert releases.record.wait(3)[-1]["directory"] == str(moved)


def test_removed_release(master, releases):
    """It cannot be had any more: what runs instead, and why, is said."""
    one = master(releases.config())
    one.wait_ready()
    start = len(one.log.read())
    releases.switch("2")
    shutil.rmtree(releases.top / "releases" / "1")
    assert crash(one, 0)["mixed"]
    assert releases.starts(3) == ("2", 1)
    one.wait_line(r"app/0: mixed: the directory it began with was removed; .*/current is .*/releases/2 now", start)
    assert "mixed 1" in one.ctl("status").stdout
    one.hup()
    one.wait_drained()
    assert not any(worker["mixed"] for worker in one.workers())


def test_all_removed(master, releases):
    one = master(releases.config())
    one.wait_ready()
    start = len(one.log.read())
    shutil.rmtree(releases.top / "releases")
    os.kill(one.workers()[0]["pid"], 9)
    one.wait_line(r"app/0: cannot change to directory '.*/current': No such file or directory; restarting", start)
    (other,) = one.slots()[1]["workers"]
    assert proc.is_running(other["pid"])


def test_replaced_program_file(master, releases):
    """Overwritten in place, it cannot be held; whoever is started with the new one is marked."""
    one = master(releases.config())
    one.wait_ready()
    start = len(one.log.read())
    program = releases.top / "releases" / "1" / "serve"
    draft = program.with_name("draft")
    draft.write_text(program.read_text())
    draft.chmod(0o755)
    draft.replace(program)
    assert crash(one, 1)["mixed"]
    assert not one.workers()[0]["mixed"]
    one.wait_line(r"app/1: mixed: .*serve was replaced since its generation began", start)


def test_descriptors_do_not_grow(master, releases):
    one = master(releases.config())
    one.wait_ready()
    one.hup()
    one.wait_drained()
    before = one.descriptors()
    for _ in range(5):
        one.hup()
    one.wait_drained()
    assert one.descriptors() == before


def test_workers_do_not_get_the_descriptor(master, directory):
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, "--ready"))
    one.wait_ready()
    (entry, _) = record.wait(2, event="start")
    assert not [target for target in entry["fds"].values() if target == str(directory)], entry["fds"]


def committed(one):
    (program,) = one.status()["programs"]
    return program["generation"], program["workers"]


@pytest.mark.sanitized
def test_undo(master, releases):
    """Back to the release, configuration and environment before the last reload, whatever the link and the file say by now."""
    one = master({**releases.config(), "process_title": "undone"})
    one.wait_ready()
    releases.switch("2")
    one.programs["app"]["workers"] = 3
    one.write()
    one.hup()
    assert committed(one) == (2, 3)
    one.ctl("undo", code=0)
    assert committed(one) == (3, 2)
    assert releases.starts(7) == ("1", 3)
    assert not crash(one, 0)["mixed"]
    assert releases.starts(8) == ("1", 3)
    one.ctl("undo", code=0)
    assert committed(one) == (4, 3)
    assert releases.starts(11) == ("2", 4)
    assert [entry["undo"] for entry in one.call("History")["reloads"]] == [False, True, True]


def test_nothing_to_undo(master, releases):
    one = master(releases.config())
    one.wait_ready()
    done = one.ctl("undo", code=1)
    assert "reload 1 refused" in done.stdout and "nothing to undo: no reload has committed yet" in done.stdout
    one.programs["app"]["command"] = ["./nothing"]
    one.write()
    one.hup("rolled_back")
    one.ctl("undo", code=1)
    assert committed(one) == (1, 2)


def test_undo_of_a_release_that_is_gone(master, releases):
    """It is tried, and where it fails the current one serves on."""
    one = master(releases.config())
    one.wait_ready()
    releases.switch("2")
    one.hup()
    shutil.rmtree(releases.top / "releases" / "1")
    releases.current.unlink()
    done = one.ctl("undo", code=1)
    assert "rolled back" in done.stdout and "cannot change to directory" in done.stdout
    assert committed(one) == (2, 2) and len(one.pids()) == 2
