"""The control socket and reloaderctl."""
import json
import os
import re
import signal
import stat
import subprocess
import time

import pytest

from harness import BINARIES, TOP, VarlinkError, configs, proc
from harness.master import Master, state
from harness.paths import PYTHON
from harness.record import Record

INTERFACE = "io.reloader.Control"


@pytest.fixture
def echo(master, port):
    return master(configs.echo(f"127.0.0.1:{port}", workers=2))


def test_any_varlink_client(echo):
    """GetInfo and the interface description."""
    with echo.connect() as connection:
        info = connection.call("org.varlink.service.GetInfo")
        assert INTERFACE in info["interfaces"] and "org.varlink.service" in info["interfaces"] and info["version"]
        description = connection.call("org.varlink.service.GetInterfaceDescription", {"interface": INTERFACE})["description"]
        assert description.lstrip().startswith(("interface ", "#")) and f"interface {INTERFACE}" in description
        for method in ("Status", "Reload", "Scale", "History", "Why", "Subscribe", "Shutdown", "Version"):
            assert re.search(rf"^method {method}\(", description, re.MULTILINE), method
        for method in ("Upgrade",):
            assert not re.search(rf"^method {method}\(", description, re.MULTILINE), "not in this version"


@pytest.mark.parametrize("method,parameters,error", [
    ("io.reloader.Control.Nonsense", {}, "org.varlink.service.MethodNotFound"),
    ("io.nobody.Nothing", {}, "org.varlink.service.InterfaceNotFound"),
    ("Reload", {"programs": 3}, "org.varlink.service.InvalidParameter"),
    ("Reload", {"nonsense": True}, "org.varlink.service.InvalidParameter"),
    ("Shutdown", {"force": "yes"}, "org.varlink.service.InvalidParameter"),
    ("Upgrade", {}, f"{INTERFACE}.NotInThisVersion"),
    ("org.varlink.service.GetInterfaceDescription", {"interface": "io.nobody"}, "org.varlink.service.InterfaceNotFound"),
])
def test_errors(echo, method, parameters, error):
    """An error is a reply; the connection lives on."""
    with echo.connect() as connection:
        with pytest.raises(VarlinkError) as caught:
            connection.call(method, parameters)
        assert caught.value.error == error
        assert connection.call("Version")["version"]


def test_history(echo):
    """Who asked, how it ended, and where its time went."""
    assert echo.call("History") == {"reloads": []}
    echo.hup()
    echo.expect_reload("committed")
    good = echo.config
    echo.write("programs: {")
    echo.expect_reload("refused")
    echo.write(good)
    first, second, third = echo.call("History")["reloads"]
    assert first["cause"] == {"by": "SIGHUP", "pid": os.getpid(), "uid": os.getuid()}
    assert second["cause"] == {"by": "control", "pid": os.getpid(), "uid": os.getuid()}
    assert [entry["id"] for entry in (first, second, third)] == [1, 2, 3]
    assert [entry["result"] for entry in (first, second, third)] == ["committed", "committed", "refused"]
    assert "reloader.yaml:" in third["reason"] and "reason" not in first
    assert first["began_usec"] <= second["began_usec"] <= third["began_usec"] <= time.time() * 1e6
    assert 0 < sum(second["phases"].values()) <= second["duration_usec"]
    assert [program["generation"] for program in second["programs"]] == [3]


def test_history_is_bounded(echo):
    """A storm of requests is one reload, and says so; the oldest are forgotten."""
    good = echo.config
    echo.write("programs: {")
    for _ in range(101):
        echo.expect_reload("refused")
    echo.write(good)
    reloads = echo.call("History")["reloads"]
    assert [entry["id"] for entry in reloads] == list(range(2, 102))


def test_status(echo, port):
    """Names and types of the contract; the facts are those of /proc."""
    status = echo.status()
    assert status["master"]["pid"] == echo.pid and status["master"]["state"] == "running"
    assert status["master"]["uptime_usec"] > 0 and status["master"]["version"]
    (program,) = status["programs"]
    assert program["name"] == "echo" and program["generation"] == 1
    assert [slot["slot"] for slot in program["slots"]] == [0, 1]
    assert sorted(worker["pid"] for worker in echo.workers()) == sorted(proc.children(echo.pid))
    for slot in program["slots"]:
        (worker,) = slot["workers"]
        assert state(slot) == state(worker) == "ready" and worker["generation"] == 1
        assert worker["restarts"] == 0 and worker["since_usec"] >= 0
    (listener,) = status["listeners"]
    assert listener["name"] == "echo" and listener["address"] == f"127.0.0.1:{port}"
    assert listener["inode"] == proc.tcp_listeners(port)[0] and listener["queue"] == 0 and listener["backlog"] > 0


def test_status_text_of_a_worker(master):
    """STATUS= and the channel's status line."""
    config = {"programs": {"f": {"command": configs.fault("notify=READY=1\\nSTATUS=by notify")},
                           "g": {"command": configs.fault("ready", 'line={"reloader":"status","text":"by channel"}')}}}
    one = master(config)
    one.wait(lambda status: one.workers("f", status)[0].get("text") == "by notify"
             and one.workers("g", status)[0].get("text") == "by channel", "both texts")


def test_reload_with_progress(echo):
    """With `more` there are replies on the way; the last says what became of it."""
    with echo.connect() as connection:
        *progress, last = connection.stream("Reload")
    assert progress, "no progress"
    assert last["result"] == "committed" and last["id"] == 1
    with echo.connect() as connection:
        assert connection.call("Reload")["result"] == "committed", "without `more` it just waits"


def test_reload_superseded_by_another(master, directory):
    """Two clients: the first gets superseded, the second committed."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, "--silent", f"--gate={directory}/gate", workers=2, disconnect_timeout="1s", stop_timeout="1s")
    one = master(config)
    # Nobody lets the first one's last worker through it: that reload does not end by itself.
    os.mkfifo(directory / "gate.2.1")
    with one.connect() as first, one.connect() as second:
        first.send("Reload", more=True)
        record.wait(event="start", generation=2, slot=1)
        second.send("Reload", more=True)
        results = []
        for connection in (first, second):
            while (reply := connection.receive()).get("continues"):
                pass
            results.append(reply["parameters"]["result"])
    assert results == ["superseded", "committed"]
    one.wait_drained()


def test_reload_of_unknown_program(echo):
    """It may be in the file, so that is read; nothing is done."""
    with echo.connect() as connection:
        result = connection.call("Reload", {"programs": ["nobody"]})
    assert result["result"] == "refused"
    assert "no program 'nobody'" in result["reason"]


def test_subscribe(echo):
    """Each step of each worker, in order; types and fields of the one list."""
    with echo.connect() as connection:
        connection.send("Subscribe", more=True)
        connection.receive()
        events = []
        echo.hup()
        while not any(event.get("type") == "reload" and event.get("state") == "ended" for event in events):
            events.append(connection.receive()["parameters"].get("event") or {})
    steps = [(event["slot"], event["generation"], event["old"].lower(), event["new"].lower())
             for event in events if event.get("type") == "worker"]
    assert steps[0][2:] == ("starting", "ready") or steps[0][3] == "starting", steps
    assert (0, 2) == steps[0][:2], "the canary first"
    canary_ready = next(index for index, step in enumerate(steps) if step[1] == 2 and step[3] == "ready")
    told = next(index for index, step in enumerate(steps) if step[1] == 1 and step[3] == "draining")
    assert canary_ready < told
    assert [event.get("result") for event in events if event.get("type") == "reload"][-1] == "committed"


def test_messages_of_applications_are_events(master, directory):
    config = {"programs": {"f": {"command": configs.fault("ready", "die=1000")}}}
    one = master(config)
    with one.connect() as connection:
        connection.send("Subscribe", more=True)
        connection.receive()
        one.programs["f"]["command"] = configs.fault('line={"hello":[1,2]}', "ready", 'line={"cmd":"x"}', "line=17")
        one.write()
        one.expect_reload("committed")
        values = []
        while len(values) < 3:
            event = connection.receive()["parameters"].get("event") or {}
            if event.get("type") == "message":
                values.append(event["value"])
    assert values == [{"hello": [1, 2]}, {"cmd": "x"}, 17]


def test_shutdown(master, directory):
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, workers=2))
    record.wait(count=2, event="start")
    one.call("Shutdown")
    one.wait_end(0)
    assert record.entries(event="message", what="graceful_shutdown")


def test_forced_shutdown(master, directory):
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, "--silent", workers=2, disconnect_timeout="10m"))
    one.call("Shutdown", {"force": True})
    one.wait_end(0)
    assert not record.entries(event="message")


def test_calls_during_shutdown(master, directory):
    """A reload is refused by name; who waits for one gets its result."""
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, "--silent", workers=1, disconnect_timeout="10m"))
    record.wait(event="start")
    with one.connect() as waiting, one.connect() as other:
        waiting.send("Reload", more=True)
        record.wait(event="message")
        other.call("Shutdown")
        while (reply := waiting.receive()).get("continues"):
            pass
        assert reply["parameters"]["result"] == "superseded"
        with pytest.raises(VarlinkError) as caught:
            other.call("Reload")
        assert caught.value.name == "ShuttingDown"
        other.call("Shutdown", {"force": True})
    one.wait_end(0)


def test_oneway_and_pipelined(echo):
    """A oneway call has no answer; calls sent at once are answered in turn."""
    with echo.connect() as connection:
        connection.send("Version", oneway=True)
        connection.send("Status")
        connection.send("Version")
        assert "master" in connection.receive()["parameters"]
        assert "version" in connection.receive()["parameters"]


def test_mode_of_the_socket(master, directory, port):
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1))
    assert stat.S_IMODE(os.stat(one.socket).st_mode) == 0o600
    config = configs.echo(f"unix:{directory}/e.sock", workers=1)
    config["control"] = {"socket": "other.sock", "mode": "0666"}
    other = Master(directory, config, name="other")
    other.socket = other.runtime / "other.sock"
    other.wait_ready()
    assert stat.S_IMODE(os.stat(other.socket).st_mode) == 0o666
    other.stop()


@pytest.mark.root
def test_strangers_may_nothing(master, directory, port):
    """Another user gets PermissionDenied even where the socket's mode lets him in; a member of control.group may all."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["control"] = {"mode": "0666", "group": "daemon"}
    one = master(config)
    script = ("import sys; sys.path.insert(0, sys.argv[1]); from harness.varlink import Varlink, VarlinkError\n"
              "try: print(sorted(Varlink(sys.argv[2]).call(sys.argv[3])))\n"
              "except VarlinkError as error: print(error.name)\n")

    def call(method, *groups):
        return subprocess.run([PYTHON, "-B", "-c", script, str(TOP / "tests" / "integration"), str(one.socket), method], check=True,
                              user=65534, group=65534, extra_groups=groups, stdout=subprocess.PIPE, text=True).stdout.strip()

    assert call("Status") == "PermissionDenied"
    assert call("Shutdown") == "PermissionDenied"
    done = subprocess.run([BINARIES.reloaderctl, "-s", str(one.socket), "status"], user=65534, group=65534, extra_groups=[], check=False,
                          capture_output=True, text=True)
    assert done.returncode in (1, 3) and "permission denied" in done.stderr, done
    assert "master" in call("Status", 1)
    assert "result" in call("Reload", 1)


def test_no_control_socket(directory, port):
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["control"] = {"socket": "none"}
    one = Master(directory, config)
    one.wait_line("echo/0: ready")
    assert not list(one.runtime.glob("*.sock"))
    one.stop()


def ctl(*arguments, **environment):
    return subprocess.run([BINARIES.reloaderctl, *arguments], capture_output=True, text=True, timeout=30, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment})


def test_ctl_status(echo):
    """0 when all is ready, else 4; --json is Status as it is."""
    plain = echo.ctl("status", code=0).stdout
    assert "echo" in plain and str(echo.pids()[0]) in plain and "\x1b" not in plain
    assert json.loads(echo.ctl("status", "--json", code=0).stdout)["programs"][0]["name"] == "echo"
    assert echo.ctl("list", code=0).stdout and echo.ctl("ls", code=0).stdout


def test_ctl_status_when_not_ready(master):
    one = master({"programs": {"bad": {"command": configs.fault("exit=1"), "backoff": {"initial": "50s", "max": "50s"}}}}, ready=False)
    one.await_socket().close()
    one.wait_line("bad/0: .*restarting in")
    assert "bad/0" in one.ctl("status", code=4).stdout


def test_ctl_finds_the_socket_by_environment(echo):
    assert ctl("status", RELOADER_CONTROL=str(echo.socket)).returncode == 0
    assert ctl("version", "-s", str(echo.socket)).returncode in (0, 2)


def test_ctl_reload(echo):
    """Plain lines when nobody looks, exit status 0; --json for machines; --no-wait."""
    done = echo.ctl("reload", code=0)
    assert "committed" in done.stdout and "\x1b" not in done.stdout
    replies = [json.loads(line) for line in echo.ctl("reload", "--json", code=0).stdout.splitlines()]
    assert replies[-1]["result"] == "committed"
    echo.ctl("reload", "--no-wait", code=0)
    echo.wait_line("reload 3 committed")


def test_ctl_reload_refused(echo):
    """1 with the reason."""
    echo.write("programs: 7\n")
    done = echo.ctl("reload", code=1)
    assert "reloader.yaml:" in done.stdout + done.stderr


def test_ctl_events(echo):
    follower = subprocess.Popen([BINARIES.reloaderctl, "-s", str(echo.socket), "events", "--json", "--since", "1h"],
                                stdout=subprocess.PIPE, text=True)
    echo.expect_reload("committed")
    seen = []
    while not (seen and seen[-1].get("type") == "reload" and seen[-1].get("state") == "ended"):
        seen.append(json.loads(follower.stdout.readline()).get("event", {}))
    echo.stop()
    assert follower.wait(20) in (0, 3), "the end of the master is its end"
    follower.stdout.close()


def test_ctl_shutdown(master, directory):
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, workers=1))
    one.ctl("shutdown", code=0)
    one.wait_end(0)
    two = master(configs.recorders(record.path, "--silent", workers=1, disconnect_timeout="10m"))
    two.ctl("shutdown", "--force", code=0)
    two.wait_end(0)


def test_ctl_version(echo):
    done = echo.ctl("version", code=0)
    assert re.search(r"\d+\.\d+", done.stdout)


@pytest.mark.parametrize("arguments,code", [
    (["nonsense"], 2), (["reload", "--nonsense"], 2), (["version", "extra"], 2), (["--help"], 0), ([], 2)])
def test_ctl_usage(echo, arguments, code):
    assert echo.ctl(*arguments).returncode == code


def test_ctl_without_a_master(directory):
    done = ctl("-s", str(directory / "nobody.sock"), "status")
    assert done.returncode == 3 and "nobody.sock" in done.stderr


def test_ctl_later_commands(echo):
    """Designed, not built: said by name."""
    done = echo.ctl("upgrade")
    assert done.returncode != 0 and "not in this version" in done.stderr


def test_ctl_reload_ends_when_the_master_dies(master, directory):
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, "--silent", workers=1, disconnect_timeout="10m"))
    record.wait(event="start")
    waiting = subprocess.Popen([BINARIES.reloaderctl, "-s", str(one.socket), "reload"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    (told,) = record.wait(event="message")
    one.kill(signal.SIGKILL)
    one.process.wait(10)
    one.stopped = True
    waiting.communicate(timeout=20)
    assert waiting.returncode in (1, 3)
    record.wait(event="exit")
    proc.wait_gone(told["pid"])


def test_path_that_is_no_text(master, directory):
    """What an environment variable brought into a path need not be UTF-8: the listener is shown all the same."""
    config = {"sockets": {"odd": {"listen": f"unix:{directory}/%(ENV_ODD)s"}},
              "programs": {"web": {"command": ["sleep", "1000"], "sockets": ["odd"], "start_seconds": "10ms"}}}
    one = master(config, environment={"ODD": b"a\xffb"})
    listeners = one.status()["listeners"]
    assert [entry["address"] for entry in listeners] == [f"unix:{directory}/a?b"]
