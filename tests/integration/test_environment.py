"""What a worker finds when it starts (the worker contract)."""
import os
import resource

import pytest

from harness import configs, isolation, proc
from harness.record import Record

LEAKS = {"LISTEN_FDS": "9", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x", "NOTIFY_SOCKET": "/nonexistent", "WATCHDOG_USEC": "1",
         "WATCHDOG_PID": "1", "NODE_CHANNEL_FD": "9", "NODE_UNIQUE_ID": "1", "SERVER_STARTER_PORT": "9", "EINHORN_FD_COUNT": "1",
         "NGINX": "3;", "GUNICORN_FD": "3", "GUNICORN_PID": "1", "UNICORN_FD": "3", "PUMA_INHERIT_0": "3", "FPM_SOCKETS": "x",
         "LISTEN_PIDFDID": "1"}


def start(master, directory, config, **options):
    record = Record(directory / "record")
    return master(config, **options), record.wait(event="start")[0]


def with_sockets(place, *listen, **program):
    names = [f"s{number}" for number in range(len(listen))]
    return {"sockets": {name: {"listen": address} for name, address in zip(names, listen)},
            "programs": {"rec": {"command": configs.recorder(place / "record", "--ready"), "sockets": names, **program}}}


@pytest.mark.key("sockets.NAME.listen", "programs.NAME.sockets")
def test_sockets(master, directory, port):
    """Descriptors from 3 on in the order of `sockets`, the channel behind them, nothing else; three conventions at once."""
    port6 = isolation.free_port()
    path = f"{directory}/a.sock"
    config = with_sockets(directory, f"127.0.0.1:{port}", f"[::1]:{port6}", f"unix:{path}", f"*:{port6 + 20000}")
    one, start_entry = start(master, directory, config, environment=LEAKS)
    seen = start_entry["environment"]
    pid = start_entry["pid"]
    assert seen["LISTEN_FDS"] == "4" and seen["LISTEN_PID"] == str(pid) and seen["LISTEN_FDNAMES"] == "s0:s1:s2:s3"
    wildcard = port6 + 20000
    assert seen["SERVER_STARTER_PORT"] == f"127.0.0.1:{port}=3;[::1]:{port6}=4;{path}=5;{wildcard}=6"
    assert seen["SERVER_STARTER_GENERATION"] == "1"
    assert (seen["RELOADER_PROGRAM"], seen["RELOADER_SLOT"], seen["RELOADER_GENERATION"]) == ("rec", "0", "1")
    assert seen["RELOADER_CHANNEL_FD"] == "7"
    assert sorted(map(int, start_entry["fds"])) == list(range(8)), start_entry["fds"]
    for number, inodes in ((3, proc.tcp_listeners(port)), (4, proc.tcp_listeners(port6)), (5, proc.unix_listeners(path)),
                           (6, proc.tcp_listeners(wildcard))):
        assert [proc.socket_inode(pid, number)] == inodes
        assert f"socket:[{inodes[0]}]" in proc.fds(one.pid).values()
    leaked = {name for name in LEAKS if name in seen and seen[name] == LEAKS[name]} - {"LISTEN_PID"}
    assert not leaked and not {"WATCHDOG_USEC", "NODE_CHANNEL_FD", "NODE_UNIQUE_ID", "NGINX", "GUNICORN_FD"} & set(seen)
    assert start_entry["group"] == pid
    assert int(start_entry["blocked"], 16) == 0 and start_entry["ignored"] == []
    assert not any(start_entry["nonblocking"][str(number)] for number in (3, 4, 5, 6)), "auto leaves sockets blocking"


def test_no_sockets(master, directory):
    """SERVER_STARTER_PORT is the empty string, the channel is fd 3."""
    _, entry = start(master, directory, with_sockets(directory))
    assert entry["environment"]["SERVER_STARTER_PORT"] == ""
    assert entry["environment"]["RELOADER_CHANNEL_FD"] == "3"
    assert entry["environment"].get("LISTEN_FDS", "0") == "0"
    assert sorted(map(int, entry["fds"])) == [0, 1, 2, 3]
    assert entry["fds"]["0"] == "/dev/null"


@pytest.mark.key("programs.NAME.environment", "programs.NAME.environment_file")
def test_environment_of_the_program(master, directory):
    """Ours, then the file, then the configuration's own; expansions in it."""
    (directory / "env").write_text("# comment\nFROM_FILE='one two'\nBOTH=file\n")
    config = with_sockets(directory, environment={"BOTH": "config", "NAME": "%(program_name)s-%(process_num)02d", "PERCENT": "100%%",
                                                  "OUTER": "%(ENV_GIVEN)s", "GENERATION": "%(generation)s"},
                          environment_file="env", numprocs_start=7)
    one, entry = start(master, directory, config, environment={"GIVEN": "outside"})
    seen = entry["environment"]
    assert seen["FROM_FILE"] == "one two" and seen["BOTH"] == "config" and seen["NAME"] == "rec-07"
    assert seen["PERCENT"] == "100%" and seen["OUTER"] == "outside" and seen["GIVEN"] == "outside" and seen["GENERATION"] == "1"
    (directory / "env").write_text("FROM_FILE=new\n")
    one.hup()
    assert proc.environment(one.pids()[0])["FROM_FILE"] == "new", "read anew by each reload"


@pytest.mark.key("programs.NAME.clear_environment")
def test_clear_environment(master, directory):
    config = with_sockets(directory, clear_environment=True, environment={"ONLY": "this"})
    _, entry = start(master, directory, config, environment={"GIVEN": "outside"})
    ours = ("RELOADER_", "LISTEN_", "SERVER_STARTER_", "NOTIFY_SOCKET")
    others = {name for name in entry["environment"] if not name.startswith(ours)}
    assert others <= {"ONLY", "PATH", "LC_CTYPE"}, others
    assert entry["environment"]["ONLY"] == "this"


@pytest.mark.key("programs.NAME.directory")
def test_directory(master, directory):
    """Relative to the file; %(here)s is the file's own."""
    (directory / "srv").mkdir()
    _, entry = start(master, directory, with_sockets(directory, directory="srv"))
    assert entry["directory"] == str(directory / "srv")


def test_fd_on_the_command_line(master, directory, port):
    config = with_sockets(directory, f"127.0.0.1:{port}", f"unix:{directory}/x.sock")
    config["programs"]["rec"]["command"] += ["--first=%(fd:s0)s", "--second=%(fd:s1)s", "--here=%(here)s"]
    _, entry = start(master, directory, config)
    assert entry["arguments"][-3:] == ["--first=3", "--second=4", f"--here={directory}"]


@pytest.mark.key("programs.NAME.command")
def test_command_as_text(master, directory):
    """Split as a shell would, without one."""
    config = with_sockets(directory)
    words = config["programs"]["rec"]["command"]
    config["programs"]["rec"]["command"] = " ".join(words) + " --x='a  b' \"--y=$HOME\""
    _, entry = start(master, directory, config)
    assert entry["arguments"][-2:] == ["--x=a  b", "--y=$HOME"]


@pytest.mark.key("programs.NAME.handoff")
def test_stdin_handoff(master, directory, port):
    """The first listener also as fd 0."""
    _, entry = start(master, directory, with_sockets(directory, f"127.0.0.1:{port}", handoff=["env", "stdin"]))
    assert entry["fds"]["0"] == entry["fds"]["3"] == f"socket:[{proc.tcp_listeners(port)[0]}]"


def test_silent(master, directory):
    _, entry = start(master, directory, with_sockets(directory, silent=True))
    assert entry["fds"]["1"] == entry["fds"]["2"] == "/dev/null"


@pytest.mark.key("sockets.NAME.nonblocking")
@pytest.mark.parametrize("setting,expected", [(True, True), (False, False), ("auto", False)])
def test_nonblocking(master, directory, port, setting, expected):
    config = with_sockets(directory, f"127.0.0.1:{port}")
    config["sockets"]["s0"]["nonblocking"] = setting
    _, entry = start(master, directory, config)
    assert entry["nonblocking"]["3"] is expected


def test_soft_nofile_limit(master, directory):
    """The master raises its own as far as many workers need; theirs is the original."""
    def limited():
        return ["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh"]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 300
    config = with_sockets(directory, workers=40)
    one, entry = start(master, directory, config, wrapper=limited())
    one.wait_ready()
    assert entry["nofile"] == 64
    assert int(proc.limit(one.pid, "Max open files")[0]) > 64
    assert int(proc.limit(one.pids()[-1], "Max open files")[0]) == 64


@pytest.mark.key("programs.NAME.worker_name")
def test_worker_names(master, directory):
    config = with_sockets(directory, workers=2, worker_name="w-%(process_num)02d")
    one, _ = start(master, directory, config)
    assert [slot["name"] for slot in one.slots()] == ["w-00", "w-01"]
    assert one.wait_line(r"w-01: up, pid \d+, generation 1")


def test_reexec_keeps_pid(master, directory):
    """LISTEN_PID is true behind a shell that execs."""
    command = " ".join(configs.recorder(directory / "record", "--ready"))
    config = with_sockets(directory)
    config["programs"]["rec"]["command"] = ["sh", "-c", f"exec {command}"]
    _, entry = start(master, directory, config)
    assert entry["environment"]["RELOADER_PROGRAM"] == "rec" and os.path.basename(entry["arguments"][0]) == "recorder.py"
