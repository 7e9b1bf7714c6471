"""
The units as they are installed, under a booted systemd.

One machine for all of these tests; its clients are outside of it, in its network. What is said of processes is read from their
control group and /proc.
"""
import json
import os
import re
import signal
import socket

import pytest

from harness import BINARIES, Load, configs, isolation, proc
from harness.installation import Installation
from harness.service import ECHO, Service
from harness.systemd import Machine, why_not

PORT = 8080  # the shipped reloader.socket's; ours alone inside
ADDRESS = f"127.0.0.1:{PORT}"

pytestmark = [pytest.mark.root, pytest.mark.limit(120)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installation(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def booted(installed, tmp_path_factory):
    if reason := why_not():
        pytest.skip(f"no systemd can be booted here: {reason}")
    units = os.path.dirname(installed.find("/system/reloader.service"))
    with Machine(tmp_path_factory.mktemp("machine"), unit_path=[units]) as machine:
        machine.unpack(installed.directory)
        with open(BINARIES.tcp_echo, "rb") as program:
            machine.write(ECHO, program.read(), mode="755")
        machine.run("ldconfig")
        machine.run("systemd-sysusers")
        machine.run("systemctl", "daemon-reload")
        yield machine


@pytest.fixture
def machine(booted, isolated):
    """In its network; afterwards nothing of reloader runs, and what the test wrote is gone."""
    with booted.network():
        yield booted
    booted.run("systemctl", "stop", "reloader*.socket", "reloader*.service")
    left = [path.name for path in booted.cgroup.rglob("*reloader*.service")]
    booted.run("sh", "-c", "rm -rf /run/harness/*.d /run/reloader*; systemctl daemon-reload; systemctl reset-failed")
    assert left == [], "they have processes"


@pytest.fixture
def service(machine, installed):
    return Service(machine, installed.config("/system/reloader.service"))


def echo(listen=ADDRESS, **program):
    config = configs.echo(listen, **{"command": [ECHO, "--who"], **program})
    return {"sockets": {"web": config["sockets"]["echo"]}, "programs": {"echo": {**config["programs"]["echo"], "sockets": ["web"]}}}


def ask(address=("127.0.0.1", PORT), family=socket.AF_INET):
    """Who serves, as {slot, generation, pid}: one connection there and back."""
    with socket.socket(family) as client:
        client.settimeout(30)
        client.connect(address)
        client.sendall(b"WHO\n")
        return dict(word.split("=") for word in client.makefile().readline().split() if "=" in word)


def await_generation(number, *where):
    """A worker that was just told to drain may take one more."""
    proc.wait_until(lambda: ask(*where)["generation"] == str(number), f"generation {number} serves")


def holds(pid, inode):
    return f"socket:[{inode}]" in proc.fds(pid).values()


def test_machine_leaves_nothing(directory, isolated):
    """What the other tests stand on: its files are its own, and with it goes whatever ran in it."""
    if reason := why_not():
        pytest.skip(f"no systemd can be booted here: {reason}")
    with Machine(directory) as machine:
        machine.write("/etc/of-the-machine", "yes")
        assert machine.run("cat", "/etc/of-the-machine").stdout == "yes" and not os.path.exists("/etc/of-the-machine")
        machine.run("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")
        everybody = proc.descendants(machine.pid)
        assert any(b"sleep" in proc.read(pid, "cmdline") for pid in everybody)
        mine = os.readlink("/proc/self/ns/net")
        with machine.network():
            assert os.readlink("/proc/self/ns/net") == os.readlink(f"/proc/{machine.pid}/ns/net") != mine
        assert os.readlink("/proc/self/ns/net") == mine
    assert not any(map(proc.is_running, everybody)) and not machine.cgroup.exists()
    assert str(directory) not in open("/proc/self/mountinfo").read()


# --- the files


@pytest.mark.parametrize("unit", ["reloader.service", "reloader.socket", "reloader@.service", "reloader@.socket"])
def test_system_units_are_clean(machine, installed, unit):
    done = machine.run("systemd-analyze", "verify", "--man=no", installed.find(f"/system/{unit}"))
    assert done.stdout + done.stderr == ""


def test_user_unit_is_clean(machine, installed):
    done = machine.run("env", "XDG_RUNTIME_DIR=/run", "systemd-analyze", "--user", "verify", "--man=no", installed.find("/user/reloader.service"))
    assert done.stdout + done.stderr == ""


def test_verify_can_fail(machine):
    """The two above can."""
    machine.write("/tmp/wrong.service", "[Service]\nExecStart=/nowhere\nWatchdogSek=1\n")
    done = machine.run("systemd-analyze", "verify", "--man=no", "/tmp/wrong.service", code=None)
    assert done.returncode != 0 and "WatchdogSek" in done.stderr


def test_snippets(machine, installed):
    """The group and the directory."""
    assert machine.run("getent", "group", "reloader").stdout.startswith("reloader:")
    machine.run("systemd-tmpfiles", "--create", installed.find("/tmpfiles.d/reloader.conf"))
    assert machine.run("stat", "-c", "%a %U", "/run/reloader").stdout.split() == ["711", "root"]


# --- the first connection


def test_first_connection_starts_the_service(service):
    """The socket is systemd's, and so are the workers'."""
    service.configure(echo())
    service.systemctl("start", service.socket)
    assert service.show("ActiveState") == "inactive"
    (inode,) = proc.tcp_listeners(PORT)
    assert holds(service.machine.pid, inode)
    served = ask()
    assert served["generation"] == "1"
    service.wait("active")
    assert len(service.workers()) == 4 and all(holds(pid, inode) for pid in service.workers())
    assert proc.tcp_listeners(PORT) == [inode]


def test_two_sockets_of_one_name(service):
    """Two ListenStream= of one .socket have one name: each goes to the entry with its address."""
    other = isolation.free_port()
    config = echo()
    config["sockets"]["other"] = {"listen": f"127.0.0.1:{other}"}
    config["sockets"]["first"] = config["sockets"].pop("web")
    config["programs"]["echo"]["sockets"] = ["first"]
    config["programs"]["second"] = {**config["programs"]["echo"], "sockets": ["other"], "workers": 1}
    service.configure(config)
    service.drop_in(f"[Socket]\nListenStream=127.0.0.1:{other}\n", service.socket)
    service.systemctl("start", service.socket)
    inodes = {port: proc.tcp_listeners(port) for port in (PORT, other)}
    first, second = ask(), ask(("127.0.0.1", other))
    service.wait("active")
    by_inside = {proc.field(pid, "NSpid").split()[-1]: pid for pid in service.workers()}
    assert proc.socket_inode(by_inside[first["pid"]], 3) == inodes[PORT][0]
    assert proc.socket_inode(by_inside[second["pid"]], 3) == inodes[other][0]
    assert {port: proc.tcp_listeners(port) for port in (PORT, other)} == inodes


def test_socket_that_nobody_claims(service):
    """An error that names it, for its clients would wait for ever."""
    service.configure(echo(f"127.0.0.1:{isolation.free_port()}"))
    service.drop_in("[Socket]\nFileDescriptorName=mail\n", service.socket)
    service.systemctl("start", service.socket)
    service.systemctl("start", code=1)
    service.systemctl("stop", service.socket)
    assert re.search(rf"mail.*{ADDRESS}|{ADDRESS}.*mail", service.machine.journal())


def test_instance(machine, installed):
    """reloader@blue: configuration, runtime directory and socket of its own, while another instance runs beside it."""
    folder = os.path.dirname(installed.config("/system/reloader.service"))
    blue, green = (Service(machine, f"{folder}/{name}.yaml", f"reloader@{name}") for name in ("blue", "green"))
    for one in (blue, green):
        name = one.name.removeprefix("reloader@").removesuffix(".service")
        one.configure(echo(f"unix:/run/reloader-{name}/web.sock", workers=2))
        one.systemctl("start", one.socket)
    path = f"/proc/{machine.pid}/root/run/reloader-blue/web.sock"
    inode = os.stat(path).st_ino
    assert ask(path, socket.AF_UNIX)["generation"] == "1"
    blue.wait("active")
    blue.systemctl("reload")
    await_generation(2, path, socket.AF_UNIX)
    assert green.show("ActiveState") == "inactive"
    blue.systemctl("stop")
    assert os.stat(path).st_ino == inode, "the socket's file outlives the service"
    assert ask(path, socket.AF_UNIX)["generation"] == "1"
    blue.systemctl("stop", blue.socket)
    assert not os.path.exists(path)


# --- reload


@pytest.mark.parametrize("reloads", [3, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.limit(300)])])
def test_reload_under_load(service, directory, reloads):
    """Each "systemctl reload" ends when everybody is replaced; nobody notices."""
    service.configure(echo())
    service.systemctl("start", service.socket)
    service.systemctl("start")
    (inode,) = proc.tcp_listeners(PORT)
    with Load(directory, ADDRESS, 200, 20, who_rate=20):
        for number in range(2, reloads + 2):
            service.systemctl("reload")
            await_generation(number)
    assert proc.tcp_listeners(PORT) == [inode]
    assert service.show("NRestarts") == "0"


def broken(config, how):
    if how == "text":
        return "programs: [\n"
    config["programs"]["echo"]["command"] = ["false"]
    return config


@pytest.mark.parametrize("how,said", [("text", "reload 1 refused: "), ("program", "reload 1 rolled back: ")])
def test_failed_reload(service, directory, how, said):
    """"systemctl reload" fails, the old workers serve, and the status says why; mended, it works."""
    config = echo(workers=2)
    service.configure(config)
    service.systemctl("start")
    before, master = service.workers(), service.master()
    with Load(directory, ADDRESS, 200, 10):
        service.configure(broken(echo(workers=2), how))
        service.systemctl("reload", code=1)
        assert (service.workers(), service.master()) == (before, master)
        assert service.show("ActiveState") == "active"
        assert service.show("StatusText").startswith(said), service.show("StatusText")
        service.configure(config)
        service.systemctl("reload")
    proc.wait_until(lambda: not service.workers() & before, "the old workers have left")


def test_journal_tells_a_reload_once(service):
    """What the master says is there; reloaderctl adds the result and nothing else."""
    service.configure(echo(workers=1))
    service.systemctl("start")
    service.systemctl("reload")
    invocation = service.show("InvocationID")
    service.machine.sync_journal()
    lines = service.machine.run("journalctl", "-o", "cat", "-t", "reloaderctl", f"_SYSTEMD_INVOCATION_ID={invocation}").stdout.splitlines()
    assert len(lines) == 1 and lines[0].startswith("reload 1 committed after ")


def test_status_text(service):
    service.configure(echo())
    service.systemctl("start")
    proc.wait_until(lambda: re.search(r'Status: "4 of 4 ready, generation 1"', service.systemctl("status").stdout), "the first status")
    service.systemctl("reload")
    proc.wait_until(lambda: service.show("StatusText") == "4 of 4 ready, generation 2", "the status of the second generation")


def test_journal_has_fields(service):
    """The log goes to the journal with fields: who it was about can be asked for."""
    service.configure(echo(workers=2))
    service.systemctl("start")
    service.machine.sync_journal()
    lines = service.machine.run("journalctl", "-o", "json", "-u", service.name, "RELOADER_WORKER=echo/1").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    (ready,) = [record for record in records if ": ready" in record["MESSAGE"] and record["RELOADER_WORKER_PID"] in map(str, inside(service))]
    assert (ready["RELOADER_PROGRAM"], ready["RELOADER_SLOT"], ready["RELOADER_GENERATION"]) == ("echo", "1", "1")
    assert (ready["SYSLOG_IDENTIFIER"], ready["PRIORITY"], ready["_SYSTEMD_UNIT"]) == ("reloader", "6", service.name)


def inside(service):
    """The workers' pids as they are inside."""
    return [int(proc.field(pid, "NSpid").split()[-1]) for pid in service.workers()]


# --- start, restart, stop


@pytest.mark.slow
def test_start_waits_until_ready(service):
    """A program that never gets ready: "systemctl start" fails once the time for it is over."""
    service.configure(echo(command=["sleep", "1000"], ready="notify", start_timeout="300ms", backoff={"initial": "1h", "max": "1h"}))
    service.drop_in("[Service]\nTimeoutStartSec=1s\nRestart=no\n")
    service.systemctl("start", code=1)
    assert service.show("Result") == "timeout" and service.machine.processes(service.name) == []


def test_nothing_to_run(service, installed):
    """The starting point of a configuration, as it comes: the start fails and says why. As its comments have it, it is right."""
    text = installed.text("/examples/reloader.yaml")
    service.configure(text)
    service.systemctl("start", code=1)
    assert "name at least one program" in service.machine.journal()
    service.systemctl("stop")
    service.configure(re.sub(r"^#(?=( *)\w+:)", "", text, flags=re.MULTILINE).replace("/srv/web", "/"))
    service.machine.run("reloader", "-t", service.path)


def test_mended_configuration_is_taken_up(service):
    """The service goes on trying, so clients of the .socket wait instead of being refused."""
    service.configure("programs: [\n")
    service.systemctl("start", service.socket)
    with socket.create_connection(("127.0.0.1", PORT), 30) as client:
        proc.wait_until(lambda: int(service.show("NRestarts")) >= 6, "it is tried again and again")
        assert service.machine.show(service.socket, "ActiveState") == "active"
        service.configure(echo())
        client.sendall(b"hello\n")
        assert client.recv(6) == b"hello\n"


def test_restart_with_the_socket_under_load(service, directory):
    """Old workers finish what they have; new connections wait in systemd's socket."""
    service.configure(echo())
    service.systemctl("start", service.socket)
    service.systemctl("start")
    with Load(directory, ADDRESS, 200, 10, who_rate=20):
        for _ in range(3):
            before = service.master()
            service.systemctl("restart")
            assert service.master() != before and ask()["generation"] == "1"


def test_stop_leaves_nothing(service):
    """No process, no listener, no control socket; a start after it works."""
    service.configure(echo())
    for _ in range(2):
        service.systemctl("start")
        everybody = service.machine.processes(service.name)
        assert len(everybody) == 5
        service.systemctl("stop")
        assert service.show("Result") == "success"
        assert not any(map(proc.is_running, everybody))
        proc.wait_until(lambda: not (service.machine.cgroup / "system.slice" / service.name).exists(), "its control group is gone")
        assert proc.tcp_listeners(PORT) == []
        assert service.machine.run("ls", "/run/reloader").stdout == ""


def test_shutdown_by_reloaderctl_is_no_failure(service):
    """Who asks it to leave does not want it back."""
    service.configure(echo())
    service.systemctl("start")
    service.ctl("shutdown")
    service.wait("inactive")
    assert (service.show("Result"), service.show("NRestarts")) == ("success", "0")


def test_long_drain_is_not_cut(service):
    """A stop that takes longer than TimeoutStopSec: the master has asked for the time that its workers may take."""
    service.configure({"programs": {"slow": {"command": ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
                                             "start_seconds": "100ms", "disconnect_timeout": "3s", "stop_timeout": "1s"}}})
    service.drop_in("[Service]\nTimeoutStopSec=1s\n")
    service.systemctl("start")
    service.systemctl("stop")
    assert service.show("Result") == "success"
    assert "slow/0: gone" in service.machine.journal()


# --- what goes wrong


@pytest.mark.parametrize("how,result", [(signal.SIGSTOP, "watchdog"), (signal.SIGKILL, "signal")], ids=["stopped", "killed"])
def test_lost_master_is_replaced(service, directory, how, result):
    """A master that hangs is noticed by the watchdog. New connections wait in systemd's socket: none is refused."""
    service.configure(echo())
    service.drop_in("[Service]\nWatchdogSec=1s\nTimeoutAbortSec=1s\n")
    service.systemctl("start", service.socket)
    service.systemctl("start")
    master, old = service.master(), service.workers()
    # They wait for what systemd's watchdog takes, and for a start.
    load = Load(directory, ADDRESS, 200, arguments=["--timeout", "60s", "--finish", "60s"])
    with load:
        os.kill(master, how)
        service.wait_running_but(master)
        assert ask()["generation"] == "1"
        load.stop()
        # Those whom the old workers served at that moment may be cut; systemd kills what a dead master leaves.
        counts = load.report["modes"]["echo"]["counts"]
        assert counts["refused"] == counts["timed_out"] == 0 and counts["ok"] > 0, load.report
        load.check = lambda: None
    assert service.show("NRestarts") == "1" and f"result '{result}'" in service.machine.journal(400)
    assert not any(map(proc.is_running, old))
    service.wait_workers(4)


def kill_as_out_of_memory(service):
    """
    SIGKILL for a worker, and the mark that systemd-oomd leaves on the control group: that is what systemd takes for out of memory. It looks
    at the mark when a child of its own ends, as a process does that a worker left behind.
    (The kernel's own mark needs the memory controller in the unified hierarchy, which few machines can spare for a test.)
    """
    group = service.machine.cgroup / "system.slice" / service.name
    service.machine.run("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $! >/sys/fs/cgroup/system.slice/$0/cgroup.procs", service.name)
    (orphan,) = [pid for pid in proc.children(service.machine.pid) if pid in service.workers()]
    os.setxattr(group, "user.oomd_ooms", b"1")
    os.kill(min(service.workers() - {orphan}), signal.SIGKILL)
    os.kill(orphan, signal.SIGKILL)
    proc.wait_until(lambda: "systemd-oomd killed" in service.machine.journal(), "systemd has noticed")


def test_out_of_memory_worker(service):
    """It is replaced, and the service lives."""
    service.configure(echo())
    service.systemctl("start")
    master = service.master()
    kill_as_out_of_memory(service)
    service.wait_workers(4)
    assert service.master() == master and service.show("ActiveState") == "active" and ask()


def test_out_of_memory_worker_without_our_policy(service):
    """With systemd's default the same ends the service: the test above can fail."""
    service.configure(echo())
    service.drop_in("[Service]\nOOMPolicy=stop\nRestart=no\n")
    service.systemctl("start")
    kill_as_out_of_memory(service)
    service.wait("failed")
    assert service.show("Result") == "oom-kill"


# --- other ways to run it


def test_sandboxing_example(service, installed):
    """The example works as it stands, and workers do inherit it."""
    service.configure(echo())
    service.drop_in(installed.text("/sandboxing.conf"))
    service.systemctl("start")
    assert ask()["generation"] == "1"
    service.systemctl("reload")
    service.wait_workers(4)
    for pid in service.workers():
        assert proc.field(pid, "NoNewPrivs") == "1" and proc.field(pid, "Seccomp") == "2"
    service.systemctl("restart")
    assert ask()["generation"] == "1"


def test_nothing_is_inherited_unasked(service):
    """Without it workers are as free as any process of this system."""
    service.configure(echo())
    service.systemctl("start")
    for pid in service.workers():
        assert proc.field(pid, "NoNewPrivs") == "0" and proc.field(pid, "Seccomp") == "0"
        assert proc.field(pid, "CapBnd") == proc.field(service.machine.pid, "CapBnd")
        assert os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink(f"/proc/{service.machine.pid}/ns/mnt")


def test_as_another_user(service):
    """User= in a drop-in: the control socket is at its place, and "systemctl reload" works."""
    service.configure(echo())
    service.drop_in("[Service]\nUser=nobody\nGroup=nogroup\n")
    service.systemctl("start")
    assert {proc.field(pid, "Uid").split()[0] for pid in service.machine.processes(service.name)} == {"65534"}
    service.systemctl("reload")
    service.ctl("status")


def test_group_that_may_control(service):
    config = echo()
    config["control"] = {"group": "reloader"}
    service.configure(config)
    service.systemctl("start")
    status = ["reloaderctl", "-s", "/run/reloader/control.sock", "status"]
    service.machine.run("setpriv", "--reuid=65534", "--regid=65534", "--groups=reloader", *status)
    service.machine.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *status, code=3)


def test_user_service(machine, installed):
    """A user's own systemd runs the user unit."""
    machine.write("/run/harness/user-manager.service", f"""[Service]
Type=notify
Delegate=yes
Environment=HOME=/root XDG_RUNTIME_DIR=/run/user/0 SYSTEMD_UNIT_PATH={os.path.dirname(installed.find('/user/reloader.service'))}:/usr/lib/systemd/user
ExecStartPre=mkdir -p /run/user/0
ExecStart=/lib/systemd/systemd --user
DefaultDependencies=no
""")
    machine.write("/root/.config/reloader/reloader.yaml", json.dumps(echo()))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "user-manager.service")
    systemctl = ["env", "XDG_RUNTIME_DIR=/run/user/0", "systemctl", "--user"]
    machine.run(*systemctl, "start", "reloader.service")
    assert ask()["generation"] == "1"
    machine.run(*systemctl, "reload", "reloader.service")
    await_generation(2)
    machine.run(*systemctl, "stop", "reloader.service")
    assert proc.tcp_listeners(PORT) == []
    machine.run("systemctl", "stop", "user-manager.service")
