"""Programs and sockets of included files: they run as if the main file had them, and start from their own directory."""
import json
import os
import re
import socket
import subprocess

import pytest

from harness import BINARIES, configs, proc
from harness.record import Record


def write(path, content):
    """At once, as an editor would."""
    draft = path.with_suffix(".draft")
    draft.write_text(content if isinstance(content, str) else json.dumps(content))
    draft.replace(path)


def run(*arguments):
    return subprocess.run([BINARIES.reloader, *map(str, arguments)], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL, check=False)


def recorder(record, **program):
    return {"command": configs.recorder(record, "--ready"), "start_seconds": "50ms", **program}


def started(pid):
    """Ticks since boot, field 22 of /proc/PID/stat; pids are given in order within one."""
    return int(proc.stat(pid)[19]), pid


@pytest.mark.key("include")
def test_included_program_runs(master, directory, port):
    """One file's program on another file's socket; where it starts is the directory of its own file."""
    place = directory / "conf.d"
    place.mkdir()
    write(place / "rec.yaml", {"sockets": {"path": {"listen": "unix:rec.sock"}},
                               "programs": {"rec": recorder("%(here)s/record", sockets=["web", "path"])}})
    config = {"include": ["conf.d/*.yaml"], "sockets": {"web": {"listen": f"127.0.0.1:{port}"}},
              "programs": {"main": recorder("%(here)s/record")}}
    one = master(config)
    seen = Record(place / "record").wait(event="start")[0]
    assert seen["directory"] == str(place)
    assert seen["environment"]["LISTEN_FDNAMES"] == "web:path"
    assert proc.tcp_listeners(port) == [proc.socket_inode(seen["pid"], 3)]
    assert proc.unix_listeners(f"{place}/rec.sock") == [proc.socket_inode(seen["pid"], 4)]
    assert Record(directory / "record").wait(event="start")[0]["directory"] == str(directory)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{place}/rec.sock")
    assert [program["name"] for program in one.status()["programs"]] == ["main", "rec"]


def test_reload_reads_included_files_anew(master, directory):
    """What is wrong in one is named with its own file, and nothing changes."""
    place = directory / "conf.d"
    place.mkdir()

    def say(value, **keys):
        write(place / "rec.yaml", {"programs": {"rec": recorder("%(here)s/record", environment={"SAY": value}, **keys)}})

    say("one")
    one = master({"include": ["conf.d/*.yaml"]})
    record = Record(place / "record")
    assert record.wait(event="start")[0]["environment"]["SAY"] == "one"
    pids = one.pids()
    say("two", workers=0)
    reply = one.reload()
    assert reply["result"] == "refused"
    assert re.search(r"conf\.d/rec\.yaml:1:\d+: programs\.rec\.workers: ", reply["reason"]), reply
    assert one.pids() == pids
    say("two")
    one.hup()
    assert record.wait(event="start", count=2)[1]["environment"]["SAY"] == "two"


def test_order_of_start(master, directory):
    """Of one priority: the main file's first, then file by file, whatever line they are in."""
    place = directory / "conf.d"
    place.mkdir()
    for name in ("b", "a"):
        write(place / f"{name}.yaml", {"programs": {name: recorder(directory / "record")}})
    write(place / "c.yaml", {"programs": {"first": recorder(directory / "record", priority=1)}})
    lines = "\n" * 20
    text = f"{lines}runtime_directory: {directory}/reloader.run\ninclude: conf.d/*\nprograms:\n  z: " + \
        json.dumps(recorder(directory / "record")) + "\n"
    one = master(text)
    Record(directory / "record").wait(event="start", count=4)
    assert [program["name"] for program in one.status()["programs"]] == ["first", "z", "a", "b"]
    pids = [one.pids(name)[0] for name in ("first", "z", "a", "b")]
    assert sorted(pids, key=started) == pids


def test_check_names_what_it_read(directory):
    (directory / "conf.d").mkdir()
    write(directory / "conf.d" / "a.yaml", {"programs": {"a": {"command": ["true"]}}})
    path = directory / "main.yaml"
    write(path, {"include": ["conf.d/*.yaml", "conf.d/*.yml"]})
    done = run("-t", path)
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == [f"{path}: valid, 1 program, 0 sockets", f"included: {directory}/conf.d/a.yaml",
                                        f"matches no file: {directory}/conf.d/*.yml"]
    done = run("--print-config", path)
    assert done.returncode == 0 and "include:" not in done.stdout and f"directory: {directory}/conf.d" in done.stdout, done


def test_run_includes_too(directory):
    """Relative to where it was started."""
    write(directory / "more.yaml", {"programs": {"more": {"command": ["true"]}}})
    done = subprocess.run([BINARIES.reloader, "run", "--set", "include=more.yaml", "--check", "--", "sleep", "1"],
                          capture_output=True, text=True, timeout=20, cwd=directory, check=False)
    assert done.returncode == 0 and "2 programs" in done.stdout and f"included: {directory}/more.yaml" in done.stdout, done


def test_fifo_does_not_block(directory):
    """Nobody writes to it: it is refused, not waited for."""
    os.mkfifo(directory / "a.inc")
    write(directory / "main.yaml", {"include": ["*.inc"], "programs": {"p": {"command": ["true"]}}})
    done = run("-t", directory / "main.yaml")
    assert done.returncode == 3 and "a.inc': this is no regular file" in done.stderr, done
