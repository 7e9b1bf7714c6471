"""Ways to hand over listening sockets: by environment, over the channel (SCM_RIGHTS), both; and workers that do not take them."""
import os
import signal

import pytest

from harness import Load, configs, isolation, proc
from harness.record import Record

RELOADS = 3

pytestmark = pytest.mark.heavy


def inherited(pid, listeners):
    """Numbers of the descriptors that are these listening sockets."""
    return sorted(number for number, what in proc.fds(pid).items() if what in {f"socket:[{inode}]" for inode in listeners})


@pytest.mark.sanitized
@pytest.mark.limit(150)
@pytest.mark.parametrize("handoff", ["env", "scm-rights", ["env", "scm-rights"]], ids=str)
def test_reload_under_load(master, directory, port, handoff):
    """Nobody notices a reload, and each worker holds each socket once, where its handoff puts it."""
    other = isolation.free_port()
    config = configs.echo(f"127.0.0.1:{port}", handoff=handoff)
    config["sockets"]["other"] = {"listen": f"127.0.0.1:{other}"}
    config["programs"]["echo"]["sockets"].append("other")
    one = master(config)
    listeners = [*proc.tcp_listeners(port), *proc.tcp_listeners(other)]
    assert len(listeners) == 2
    by_environment = "env" in handoff
    for pid in one.pids():
        seen = proc.environment(pid)
        assert seen.get("LISTEN_FDS") == ("2" if by_environment else None)
        assert seen.get("RELOADER_LISTENERS") == ("2" if "scm-rights" in handoff else None)
        assert seen["RELOADER_CHANNEL_FD"] == ("5" if by_environment else "3")
        found = inherited(pid, listeners)
        assert len(found) == 2, "each once"
        assert (found == [3, 4]) == by_environment, found
        assert (proc.socket_inode(pid, 3) in listeners) == by_environment
        for number in found:
            flags = dict(line.split(":\t") for line in proc.read(pid, f"fdinfo/{number}").decode().splitlines()[:2])
            assert int(flags["flags"], 8) & 0o2000000, "close-on-exec"
    with Load(directory, f"127.0.0.1:{port}", 1000, 100), Load(directory, f"127.0.0.1:{other}", 200, 10, name="other"):
        for _ in range(RELOADS):
            one.expect_reload("committed")
        one.wait_drained()
    assert one.generation() == RELOADS + 1
    assert (proc.tcp_listeners(port), proc.tcp_listeners(other)) == (listeners[:1], listeners[1:])


def test_what_a_worker_finds(master, directory, port):
    """With scm-rights alone nothing but the channel, and the first line of it is the sockets'."""
    record = Record(directory / "record")
    config = {"sockets": {"web": {"listen": f"127.0.0.1:{port}"}},
              "programs": {"rec": {"command": configs.recorder(record.path, "--ready"), "sockets": ["web"],
                                   "handoff": "scm-rights"}}}
    one = master(config)
    (entry,) = record.wait(event="start")
    assert sorted(map(int, entry["fds"])) == [0, 1, 2, 3], entry["fds"]
    assert not {name for name in entry["environment"] if name.startswith(("LISTEN_", "SERVER_STARTER_"))}
    assert entry["environment"]["RELOADER_CHANNEL_FD"] == "3" and entry["environment"]["RELOADER_LISTENERS"] == "1"
    (message,) = record.wait(event="message")
    assert message["what"] in ({"reloader": "listeners", "names": ["web"]}, '{"reloader":"listeners","names":["web"]}'), message
    one.expect_reload("committed")


def test_as_many_as_a_program_may_have(master, directory):
    paths = [f"{directory}/s{number}" for number in range(64)]
    config = configs.echo("unix:@unused", workers=1, handoff="scm-rights")
    config["sockets"] = {f"s{number}": {"listen": f"unix:{path}"} for number, path in enumerate(paths)}
    config["programs"]["echo"]["sockets"] = list(config["sockets"])
    one = master(config)
    (pid,) = one.pids()
    assert proc.environment(pid)["RELOADER_LISTENERS"] == "64"
    listeners = [proc.unix_listeners(path)[0] for path in paths]
    assert len(inherited(pid, listeners)) == 64


@pytest.mark.parametrize("faults", [["notify=READY=1"], ["stop"]], ids=["never reads", "stopped at its start"])
def test_worker_that_takes_nothing(master, directory, port, faults):
    """Its sockets stay on their way; the others serve, reload, and the master holds no more than before."""
    config = configs.echo(f"127.0.0.1:{port}", workers=2, handoff="scm-rights")
    config["programs"]["bad"] = {"command": configs.fault(*faults), "sockets": ["echo"], "handoff": "scm-rights",
                                 "ready": {"after": "100ms"}, "drain_grace": "100ms", "disconnect_timeout": "500ms",
                                 "stop_timeout": "500ms", "reload": {"probation": "0s"}}
    one = master(config)
    with Load(directory, f"127.0.0.1:{port}", 500, 10):
        descriptors = []
        for _ in range(3):
            before = one.pids("bad")
            one.expect_reload("committed")
            one.wait_drained()
            assert not any(map(proc.is_running, before))
            descriptors.append(one.descriptors())
    (pid,) = one.pids("bad")
    assert inherited(pid, proc.tcp_listeners(port)) == []
    assert len(set(descriptors)) == 1, descriptors


def test_master_that_is_gone_before_the_start_is_over(master, directory, port):
    """Killed while its worker is stopped at its start: when that goes on it finds its sockets, then the end, and leaves."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1, handoff="scm-rights", start_timeout="10m")
    config["programs"]["echo"]["command"] = ["sh", "-c", 'kill -STOP $$; exec "$@"', "sh", *config["programs"]["echo"]["command"]]
    one = master(config, ready=False)
    one.wait_line(r"echo/0: up")
    (pid,) = proc.children(one.pid)
    proc.wait_until(lambda: proc.stat(pid)[0] == b"T", "it has stopped itself")
    one.kill(signal.SIGKILL)
    one.process.wait(20)
    one.stopped = True
    os.kill(pid, signal.SIGCONT)
    proc.wait_gone(pid)


@pytest.mark.root
def test_too_many_on_their_way(master, directory, port):
    """The kernel bounds what a user without privileges may have on its way: a failed start with its reason, then backoff."""
    paths = [f"{directory}/run/s{number}" for number in range(40)]
    (directory / "run").mkdir(mode=0o777)
    (directory / "run").chmod(0o777)
    config = configs.echo("unix:@unused", workers=4, handoff="scm-rights", start_timeout="10m")
    config["sockets"] = {f"s{number}": {"listen": f"unix:{path}"} for number, path in enumerate(paths)}
    config["programs"]["echo"] |= {"sockets": list(config["sockets"]), "command": configs.fault(),
                                   "backoff": {"initial": "10m", "max": "1h"}}
    config["runtime_directory"] = str(directory / "run" / "reloader.run")
    wrapper = ["prlimit", "--nofile=90:90", "setpriv", "--reuid=4242", "--regid=4242", "--clear-groups"]
    one = master(config, ready=False, wrapper=wrapper)
    one.wait_line(r"echo/3: cannot hand over its sockets \(scm-rights\): Too many references")
    one.kill(signal.SIGQUIT)
    one.process.wait(30)
    one.stopped = True


@pytest.mark.parametrize("handoff", ["scm-rights", ["env", "scm-rights"]], ids=str)
def test_added_sockets_replace_nobody(master, directory, port, handoff):
    """An update that only adds sockets hands them to the workers that there are; they serve on both."""
    other = isolation.free_port()
    config = configs.echo(f"127.0.0.1:{port}", handoff=handoff)
    one = master(config)
    pids = one.pids()
    config["sockets"]["other"] = {"listen": f"127.0.0.1:{other}"}
    config["programs"]["echo"]["sockets"].append("other")
    with Load(directory, f"127.0.0.1:{port}", 1000, 100):
        one.write(config)
        plan = one.reload(changed_only=True, dry_run=True)["plan"]
        assert [entry["action"] for entry in plan["programs"]] == ["hand"]
        assert one.reload(changed_only=True)["result"] == "committed"
    assert one.pids() == pids
    listeners = [*proc.tcp_listeners(port), *proc.tcp_listeners(other)]
    for pid in pids:
        proc.wait_until(lambda pid=pid: len(inherited(pid, listeners)) == 2, "it holds both")
    os.kill(pids[0], signal.SIGKILL)
    one.wait(lambda status: len(one.pids(status=status)) == 4 and pids[0] not in one.pids(status=status), "another one is there")
    with Load(directory, f"127.0.0.1:{other}", 500, 20, name="other"):
        one.expect_reload("committed")
        one.wait_drained()
    assert not set(one.pids()) & set(pids)


def test_added_sockets_replace_who_said_no_hello(master, directory, port):
    """A worker that does not wait for further sockets would never take them."""
    record = Record(directory / "record")
    config = {"sockets": {"web": {"listen": f"127.0.0.1:{port}"}, "more": {"listen": "unix:@handoff-more"}},
              "programs": {"rec": {"command": configs.recorder(record.path, "--ready"), "sockets": ["web"],
                                   "handoff": "scm-rights"}}}
    one = master(config)
    pids = one.pids()
    config["programs"]["rec"]["sockets"].append("more")
    one.write(config)
    assert one.reload(changed_only=True)["result"] == "committed"
    assert one.pids() != pids
