"""Who workers are and what they may use: read from /proc of the worker, for every key."""
import json
import os
import pathlib
import stat
import subprocess

import pytest

from harness import BINARIES, Load, configs, proc
from harness.master import Master
from harness.paths import NSS
from harness.record import Record

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
ROOT = pytest.mark.root
CAP_SYS_RESOURCE = 1 << 24
MAY_RAISE = int(proc.field("self", "CapEff"), 16) & CAP_SYS_RESOURCE
RESOURCES = pytest.mark.skipif(not MAY_RAISE,
                               reason="needs CAP_SYS_RESOURCE, which root of some containers lacks")
CPUS = sorted(os.sched_getaffinity(0))


def sleeper(**program):
    """Workers that do nothing, and are ready soon."""
    return {"programs": {"idle": {"command": ["sleep", "3600"], "start_seconds": "50ms", "reload": {"probation": "0s", "canary": True},
                                  **program}}}


def ids(pid):
    return proc.field(pid, "Uid").split(), proc.field(pid, "Gid").split(), proc.field(pid, "Groups").split()


def nice(pid):
    return int(proc.stat(pid)[16])


def oom(pid):
    return int(proc.read(pid, "oom_score_adj"))


@pytest.fixture
def record(directory):
    """Where recorders of any user may write."""
    (directory / "open").mkdir()
    (directory / "open").chmod(0o777)
    return directory / "open" / "record"


# --- each key

LIMITS = {
    "nofile": ("500:600", "Max open files", ("500", "600")),
    "nproc": (5000, "Max processes", ("5000", "5000")),
    "core": ("1M:2M", "Max core file size", ("1048576", "2097152")),
    "as": ("4G", "Max address space", (str(4 << 30),) * 2),
    "data": ("1G", "Max data size", (str(1 << 30),) * 2),
    "stack": ("4M", "Max stack size", (str(4 << 20),) * 2),
    "rss": ("1G", "Max resident set", (str(1 << 30),) * 2),
    "memlock": ("64K", "Max locked memory", ("65536",) * 2),
    "fsize": ("1M", "Max file size", (str(1 << 20),) * 2),
    "cpu": ("1h", "Max cpu time", ("3600", "3600")),
    "rttime": ("200ms", "Max realtime timeout", ("200000", "200000")),
    "rtprio": (0, "Max realtime priority", ("0", "0")),
    "nice": (0, "Max nice priority", ("0", "0")),
    "locks": (77, "Max file locks", ("77", "77")),
    "msgqueue": (4096, "Max msgqueue size", ("4096", "4096")),
    "sigpending": (99, "Max pending signals", ("99", "99")),
}


@pytest.mark.key("programs.NAME.user", "programs.NAME.supplementary_groups")
@ROOT
def test_user(master, record):
    """Everything that belongs to it; and what it says over its notify socket is heard."""
    one = master(configs.recorders(record, "--notify", user="nobody", ready="notify", workers=2,
                                   supplementary_groups=["audio", 4242]))
    for pid in one.pids():
        assert ids(pid) == (["65534"] * 4, ["65534"] * 4, ["29", "4242", "65534"])
        environment = proc.environment(pid)
        assert (environment["USER"], environment["LOGNAME"], environment["HOME"]) == ("nobody", "nobody", "/nonexistent")
        assert environment["SHELL"] == "/usr/sbin/nologin"
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(proc.field(pid, name), 16) == 0
    one.hup()
    assert ids(one.pids()[0])[0] == ["65534"] * 4
    assert ids(one.pid)[0] == ["0"] * 4


@pytest.mark.key("programs.NAME.group")
@ROOT
def test_numbers_and_a_group(master):
    one = master(sleeper(user=12345, group="daemon", environment={"HOME": "/own"}))
    (pid,) = one.pids()
    assert ids(pid) == (["12345"] * 4, ["1"] * 4, ["1"])
    assert proc.environment(pid)["HOME"] == "/own"


@ROOT
def test_a_group_alone(master):
    """None of root's own groups stay."""
    (pid,) = master(sleeper(group="audio")).pids()
    assert ids(pid) == (["0"] * 4, ["29"] * 4, ["29"])


@pytest.mark.key("programs.NAME.limits.nofile", "programs.NAME.limits.nproc", "programs.NAME.limits.core",
                 "programs.NAME.limits.as", "programs.NAME.limits.data", "programs.NAME.limits.stack",
                 "programs.NAME.limits.rss", "programs.NAME.limits.memlock", "programs.NAME.limits.fsize",
                 "programs.NAME.limits.cpu", "programs.NAME.limits.rttime", "programs.NAME.limits.locks",
                 "programs.NAME.limits.msgqueue", "programs.NAME.limits.sigpending")
@pytest.mark.parametrize("name", LIMITS)
def test_limit(master, name):
    value, line, expected = LIMITS[name]
    one = master(sleeper(limits={name: value}))
    (pid,) = one.pids()
    assert proc.limit(pid, line) == expected
    assert proc.limit(one.pid, line) != expected or expected == ("0", "0")


@pytest.mark.key("programs.NAME.umask", "programs.NAME.nice", "programs.NAME.oom_score_adjust",
                 "programs.NAME.no_new_privileges", "programs.NAME.cpu_affinity")
def test_scheduling(master):
    one = master(sleeper(umask="0027", nice=7, oom_score_adjust=333, no_new_privileges=True, cpu_affinity=[CPUS[-1]]))
    (pid,) = one.pids()
    assert proc.field(pid, "Umask") == "0027"
    assert proc.field(pid, "NoNewPrivs") == "1"
    assert proc.field(pid, "Cpus_allowed_list") == str(CPUS[-1])
    assert (nice(pid), oom(pid)) == (7, 333)
    assert (nice(one.pid), oom(one.pid)) == (nice(os.getpid()), oom(os.getpid()))
    assert proc.field(one.pid, "NoNewPrivs") == "0"


def test_one_cpu_for_each_worker(master):
    """More slots than CPUs begin anew; a replacement has its slot's."""
    workers = len(CPUS) + 1
    one = master(sleeper(cpu_affinity="per_worker", workers=workers))
    for _ in range(2):
        assert [proc.field(pid, "Cpus_allowed_list") for pid in one.pids()] == [str(CPUS[i % len(CPUS)]) for i in range(workers)]
        one.hup()


@ROOT
def test_nicer_than_the_master(master):
    (pid,) = master(sleeper(user="nobody", nice=-5)).pids()
    assert nice(pid) == -5


@pytest.mark.key("programs.NAME.limits.rtprio", "programs.NAME.limits.nice")
@ROOT
@RESOURCES
def test_more_than_the_master_has(master):
    (pid,) = master(sleeper(user="nobody", oom_score_adjust=-500, limits={"rtprio": 5, "nice": 30})).pids()
    assert oom(pid) == -500
    assert proc.limit(pid, "Max realtime priority") == ("5", "5")
    assert proc.limit(pid, "Max nice priority") == ("30", "30")


@pytest.mark.key("programs.NAME.capabilities")
@ROOT
def test_capabilities(master):
    one = master(sleeper(user="nobody", capabilities=["net_bind_service", "CAP_KILL"]))
    (pid,) = one.pids()
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(proc.field(pid, name), 16) == 1 << 10 | 1 << 5


@pytest.mark.key("umask", "directory", "environment")
def test_from_the_top_of_the_file(master, directory):
    (directory / "work").mkdir()
    config = sleeper()
    config["programs"]["other"] = {**config["programs"]["idle"], "umask": "077", "directory": "/", "environment": {"B": "own"}}
    config.update(umask="027", directory="work", environment={"A": "%(program_name)s", "B": "all"})
    one = master(config)
    (idle,), (other,) = one.pids("idle"), one.pids("other")
    assert [proc.field(pid, "Umask") for pid in (idle, other)] == ["0027", "0077"]
    assert [os.readlink(f"/proc/{pid}/cwd") for pid in (idle, other)] == [str(directory / "work"), "/"]
    for pid, a, b in ((idle, "idle", "all"), (other, "other", "own")):
        environment = proc.environment(pid)
        assert (environment["A"], environment["B"]) == (a, b)


@ROOT
def test_check_command_is_the_same(master, record):
    """In all of it: user, limits, priority."""
    script = f"id -u > {record}.new; ulimit -n >> {record}.new; umask >> {record}.new; nice >> {record}.new; mv {record}.new {record}"
    one = master(sleeper(user="nobody", nice=3, umask="077", limits={"nofile": 123},
                         reload={"check_command": ["sh", "-c", script], "probation": "0s"}))
    one.hup()
    assert record.read_text().split() == ["65534", "123", "0077", "3"]
    assert record.stat().st_uid == 65534


@ROOT
def test_under_load(master, directory, port):
    """Sockets are root's, workers are not; nobody notices a reload."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2, user="nobody", limits={"nofile": 2000}))
    with Load(directory, f"127.0.0.1:{port}", 200, 20):
        one.hup()
        one.expect_reload("committed")
    assert all(ids(pid)[0] == ["65534"] * 4 for pid in one.pids())


# --- what fails

FAILURES = {
    "limits": ({"limits": {"nofile": 2147483647}}, "cannot set its limit 'nofile': "),
    "cpu_affinity": ({"cpu_affinity": [1023]},
                     "cannot set its cpu_affinity: Invalid argument (none of these CPUs is there for us)"),
}
FAILURES_OF_NOBODY = {
    "nice": ({"nice": -5}, "cannot set its nice value to -5: Permission denied"),
    "oom": ({"oom_score_adjust": -500}, "cannot set its oom_score_adjust to -500: Permission denied"),
    "limits": ({"limits": {"nofile": 2147483647}}, "cannot set its limit 'nofile': it is above the hard limit of the master"),
    "capabilities": ({"capabilities": ["kill"]}, "cannot give it the capability kill: the master does not have it itself"),
}


def expect_start_failure(directory, settings, text, wrapper=()):
    one = Master(directory, sleeper(**settings), ["-d"], wrapper)
    assert one.process.wait(30) == 1
    assert text in "\n".join(one.log.read())


@ROOT
@pytest.mark.parametrize("what", FAILURES)
def test_step_fails_at_start(directory, what):
    expect_start_failure(directory, *FAILURES[what])


@ROOT
@pytest.mark.parametrize("what", FAILURES_OF_NOBODY)
def test_step_fails_at_start_of_nobody(directory, what):
    os.chown(directory, 65534, 65534)
    expect_start_failure(directory, *FAILURES_OF_NOBODY[what], NOBODY)


def expect_rolled_back(one, settings, text):
    before = one.pids()
    one.write({**one.config, "programs": {"idle": {**one.programs["idle"], **settings}}})
    reply = one.expect_reload("rolled_back")
    assert text in reply["reason"]
    assert one.pids() == before and one.generation() == 1


@ROOT
@pytest.mark.parametrize("what", FAILURES)
def test_step_fails_at_reload(master, what):
    expect_rolled_back(master(sleeper()), *FAILURES[what])


@ROOT
def test_user_that_may_not_be_taken(master):
    """Root of a user namespace has the capability, and yet nobody there to become."""
    expect_rolled_back(master(sleeper(), wrapper=["unshare", "--user", "--map-root-user"]), {"user": "daemon"},
                       "cannot take the supplementary groups of 'daemon' (1): Operation not permitted")


@ROOT
def test_closed_directory(master, directory):
    """Entered as the user who will work there."""
    (directory / "closed").mkdir(mode=0o700)
    expect_rolled_back(master(sleeper(user="nobody")), {"directory": str(directory / "closed")},
                       f"cannot change to directory '{directory}/closed': Permission denied (its user may not enter it)")


@ROOT
def test_ordinary_master(master, directory):
    """May be itself, go down with everything, and nothing else: said before anything is touched, with place and remedy."""
    os.chown(directory, 65534, 65534)
    one = master(sleeper(user="nobody", nice=5, oom_score_adjust=200, umask="077", limits={"nofile": 100}), wrapper=NOBODY)
    before = (pid,) = one.pids()
    assert ids(pid) == (["65534"] * 4, ["65534"] * 4, [])
    assert (nice(pid), oom(pid), proc.field(pid, "Umask")) == (5, 200, "0077")
    for settings in ({"user": "daemon"}, {"user": "nobody", "group": "daemon"},
                     {"user": "nobody", "supplementary_groups": ["daemon"]}):
        one.write(sleeper(**settings) | {"runtime_directory": str(one.runtime)})
        reply = one.expect_reload("refused")
        key = list(settings)[-1]
        assert reply["reason"].startswith(f"{one.path}:3:3: programs.idle.{key}: only root can start workers as somebody else, and "
                                          "this master is user 65534: start it as root, or leave this out")
        assert one.pids() == before


@ROOT
def test_check_by_an_ordinary_user(directory):
    """A configuration of root's is right, whoever looks; but who starts it is refused."""
    path = directory / "reloader.yaml"
    path.write_text(json.dumps(sleeper(user="daemon")))
    done = subprocess.run([*NOBODY, BINARIES.reloader, "-t", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert "valid, 1 program" in done.stdout and "but not to be run by user 65534:\n" in done.stdout
    assert subprocess.run([*NOBODY, BINARIES.reloader, "--print-config", path], capture_output=True, check=False).returncode == 0
    started = subprocess.run([*NOBODY, BINARIES.reloader, path], capture_output=True, text=True, check=False)
    assert started.returncode == 3 and "programs.idle.user: only root can start workers" in started.stderr
    path.write_text(json.dumps(sleeper() | {"user": "daemon"}))
    started = subprocess.run([*NOBODY, BINARIES.reloader, path], capture_output=True, text=True, check=False)
    assert started.returncode == 3 and "user: only root can become somebody else" in started.stderr


# --- the master itself

@pytest.mark.key("user")
@ROOT
def test_master_becomes_user(master, directory, port):
    """After binding; it keeps nothing but the low ports, and its workers have no more than it."""
    config = {**configs.echo("127.0.0.1:80", workers=2), "user": "nobody"}
    one = master(config)
    assert ids(one.pid) == (["65534"] * 4, ["65534"] * 4, ["65534"])
    assert int(proc.field(one.pid, "CapPrm"), 16) == int(proc.field(one.pid, "CapEff"), 16) == 1 << 10
    assert int(proc.field(one.pid, "CapInh"), 16) == 0
    for pid in one.pids():
        assert ids(pid)[0] == ["65534"] * 4
        assert int(proc.field(pid, "CapPrm"), 16) == 0
    with Load(directory, "127.0.0.1:80", 200, 20):
        one.hup()
    config["sockets"]["echo2"] = {"listen": "127.0.0.1:81"}
    config["programs"]["echo"]["sockets"] = ["echo", "echo2"]
    one.write(config)
    one.expect_reload("committed")
    assert len(proc.tcp_listeners(81)) == 1
    one.write({**config, "user": "daemon"})
    assert one.expect_reload("refused")["reason"] == "user changed: only a restart of the master changes it"
    one.stop()


@ROOT
def test_master_that_became_user_starts_again(master, directory):
    """What its predecessor was given is taken back, and given again."""
    for name in ("first", "second"):
        one = master({**sleeper(), "user": "nobody", "runtime_directory": str(directory / "run")}, name=name, ready=False)
        one.runtime, one.socket = directory / "run", directory / "run" / "control.sock"
        one.wait_ready()
        assert one.runtime.stat().st_uid == 65534
        assert one.socket.stat().st_uid == 65534
        one.hup()
        # As after a crash: what was given away is still there.
        leftover = one.runtime / "kept"
        leftover.touch()
        one.process.send_signal(15)
        assert one.process.wait(20) == 0
        one.stopped = True
        assert one.runtime.stat().st_uid == 65534
        leftover.unlink()


@ROOT
def test_master_that_became_user_in_the_default_directory(directory):
    """The default is root's even when it is read again by somebody else."""
    one = Master(directory, json.dumps({**sleeper(), "user": "nobody"}),
                 wrapper=["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh"])
    one.wait_line(r"ready, 1 of 1 workers")
    os.kill(one.pid, 1)
    one.wait_line(r"reload 1 committed")
    one.stop()


@ROOT
def test_user_on_the_command_line(master, directory):
    """A pid file that it may not remove any more names nobody in the end."""
    pid_file = directory / "reloader.pid"
    one = master({**sleeper(), "pid_file": str(pid_file)}, arguments=["-u", "nobody"])
    assert ids(one.pid) == ids(one.pids()[0]) == (["65534"] * 4, ["65534"] * 4, ["65534"])
    assert pid_file.read_text() == f"{one.pid}\n"
    one.stop()
    assert pid_file.read_text() == ""


@ROOT
def test_workers_of_others_and_a_user_at_the_top(directory):
    path = directory / "reloader.yaml"
    path.write_text(json.dumps({**sleeper(user="daemon"), "user": "nobody"}))
    done = subprocess.run([BINARIES.reloader, path], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "programs.idle.user: with 'user' at the top of the file the master is user 65534" in done.stderr


@pytest.mark.key("limits.nproc")
@ROOT
def test_limits_of_the_master(master):
    low = ["prlimit", "--nproc=100:350"]
    one = master({**sleeper(), "limits": {"nproc": "200:350"}}, wrapper=low)
    assert proc.limit(one.pid, "Max processes") == ("200", "350")
    one.write({**one.config, "limits": {"nproc": 300}})
    one.expect_reload("committed")
    assert proc.limit(one.pid, "Max processes") == ("300", "350")
    one.write({**one.config, "limits": {"nproc": 200}})
    one.expect_reload("committed")
    assert proc.limit(one.pid, "Max processes") == ("300", "350"), "it is never lowered"


@pytest.mark.key("limits.nofile")
@ROOT
@pytest.mark.skipif(int(proc.limit("self", "Max open files")[1]) < 80000 and not MAY_RAISE,
                    reason="the hard limit of open files is below 80000 here")
def test_open_files_of_the_master(master):
    soft, hard = proc.limit("self", "Max open files")
    low = ["prlimit", "--nofile=300:80000"]
    one = master({**sleeper(), "limits": {"nofile": 70000}}, wrapper=low)
    assert proc.limit(one.pid, "Max open files") == ("70000", "80000")
    assert proc.limit(one.pids()[0], "Max open files") == ("300", "80000"), "workers get what the master was started with"
    one.write({**one.config, "limits": {"nofile": 80000}})
    one.expect_reload("committed")
    assert proc.limit(one.pid, "Max open files") == ("80000", "80000")
    assert (soft, hard) == proc.limit("self", "Max open files")


@pytest.mark.key("limits.nofile")
@ROOT
def test_limits_that_the_master_may_not_have(master, directory):
    os.chown(directory, 65534, 65534)
    one = master({**sleeper(), "limits": {"nofile": 70000}}, wrapper=["prlimit", "--nofile=300:400", *NOBODY], ready=False)
    one.wait_end(1)
    one.wait_line(r"limits\.nofile: cannot raise it from 300 \(at most 400\): Operation not permitted")


def test_program_of_an_identity_is_rolled_when_it_changes(master):
    """`reloaderctl update` sees each key."""
    one = master(sleeper())
    for number, settings in enumerate(({"nice": 3}, {"limits": {"core": 0}}, {"cpu_affinity": [CPUS[0]]}, {"umask": "077"}), start=2):
        one.write({**one.config, "programs": {"idle": {**one.programs["idle"], **settings}}})
        assert one.reload(changed_only=True)["result"] == "committed"
        assert one.generation() == number


def test_files_of_the_notify_socket(master, record):
    """Reached by any user, as root's runtime directory can be passed."""
    one = master(configs.recorders(record, "--notify", ready="notify", workers=1))
    path = pathlib.Path(Record(record).wait(event="start")[0]["environment"]["NOTIFY_SOCKET"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert one.pids()


# --- a directory service that takes its time

class SlowService:
    """carol is known to it alone, and only once its gate was opened; see tests/nss."""

    def __init__(self, directory):
        self.gate = directory / "gate"
        os.mkfifo(self.gate)
        (directory / "nsswitch.conf").write_text("passwd: files slow\ngroup: files\n")
        self.wrapper = ["unshare", "--mount", "sh", "-c", f'mount --bind {directory}/nsswitch.conf /etc/nsswitch.conf && exec "$@"', "sh"]
        self.environment = {"NSS_SLOW_GATE": str(self.gate), "LD_LIBRARY_PATH": str(NSS)}

    def askers(self, master):
        """Processes of the master that wait at the gate."""
        return [pid for pid in proc.children(master.pid) if pid not in master.pids()]

    def open(self):
        """Until somebody waits there, and then for good."""
        with open(self.gate, "w"):
            pass


@pytest.fixture
def service(directory):
    return SlowService(directory)


@ROOT
def test_slow_service_at_reload(master, service):
    """The loop serves others until the answer comes; whoever asks holds nothing of the master's."""
    one = master(sleeper(), wrapper=service.wrapper, environment=service.environment)
    one.write({**one.config, "programs": {"idle": {**one.programs["idle"], "user": "carol"}}})
    with one.connect() as waiting:
        waiting.send("Reload")
        (asker,) = proc.wait_until(lambda: service.askers(one), "somebody asks")
        for _ in range(3):
            assert one.status()["reload"].get("result") is None
        assert one.ctl("reload", "--dry-run").returncode != 0, "not known yet"
        proc.wait_until(lambda: not any("socket:" in what for what in proc.fds(asker).values()), "it let go of all sockets")
        one.kill(1)  # asks for the very same reload
        service.open()
        assert waiting.receive()["parameters"]["result"] == "committed"
    (pid,) = one.pids()
    assert ids(pid) == (["4711"] * 4, ["4712"] * 4, ["4712"])
    environment = proc.environment(pid)
    assert (environment["USER"], environment["HOME"]) == ("carol", "/home/carol")
    proc.wait_until(lambda: not service.askers(one), "nobody asks any more")


@ROOT
def test_service_without_an_answer(master, service):
    one = master(sleeper(), wrapper=service.wrapper, environment=service.environment)
    before = one.pids()
    one.write({**one.config, "programs": {"idle": {**one.programs["idle"], "user": "carol"}}})
    reply = one.expect_reload("refused")
    assert "programs.idle.user: the user 'carol' is not in /etc/passwd, and the directory service did not answer within 5 s" in reply["reason"]
    assert one.pids() == before
    proc.wait_until(lambda: not service.askers(one), "nobody asks any more")


@ROOT
def test_nobody_can_be_asked(master, directory):
    """As where descriptors are short; nothing is left of the attempt."""
    one = master(sleeper(), wrapper=["strace", "-D", "-f", "-o", str(directory / "trace"), "-e", "trace=pidfd_open", "-e", "inject=pidfd_open:error=EMFILE"])
    before = one.pids()
    one.write({**one.config, "programs": {"idle": {**one.programs["idle"], "user": "xyzzy"}}})
    reply = one.expect_reload("refused")
    assert "programs.idle.user: the user 'xyzzy' cannot be looked up: Too many open files" in reply["reason"]
    assert one.pids() == before == proc.children(one.pid)
    one.stop()
    proc.wait_until(lambda: not [pid for pid in proc.descendants(os.getpid()) if proc.is_running(pid)], "strace has ended")


@ROOT
def test_shutdown_while_the_service_is_silent(master, service):
    one = master(sleeper(), wrapper=service.wrapper, environment=service.environment)
    one.write({**one.config, "programs": {"idle": {**one.programs["idle"], "user": "carol"}}})
    one.kill(1)
    (asker,) = proc.wait_until(lambda: service.askers(one), "somebody asks")
    one.stop()
    assert not proc.is_running(asker)


@ROOT
def test_service_at_the_start(directory, service):
    """Nobody is served yet: the start waits, for as long as the service may take."""
    one = Master(directory, sleeper(user="carol"), wrapper=service.wrapper, environment=service.environment)
    service.open()
    one.wait_ready()
    assert ids(one.pids()[0])[0] == ["4711"] * 4
    one.stop()
    silent = Master(directory, sleeper(user="carol"), wrapper=service.wrapper, environment=service.environment, name="silent")
    assert silent.process.wait(30) == 3
    silent.log.wait("the user 'carol' is not in /etc/passwd, and the directory service did not answer")


# --- whom others stop

@ROOT
def test_stopped_on_its_way(directory):
    """Other processes of its user may do that as soon as it is theirs; the master is not kept waiting by it."""
    trace = directory / "trace"
    one = Master(directory, sleeper(user="nobody", workers=2),
                 wrapper=["strace", "-D", "-f", "-o", str(trace), "-e", "trace=setresuid", "-e", "inject=setresuid:signal=SIGSTOP"])
    one.wait_line("ready, 2 of 2 workers")
    assert "SIGSTOP" in trace.read_text()
    one.stop()
    proc.wait_until(lambda: not [pid for pid in proc.descendants(os.getpid()) if proc.is_running(pid)], "strace has ended")
