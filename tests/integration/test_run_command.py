"""./run and the set-up it shares with ./test: what a newcomer sees first."""
import os
import re
import signal
import socket
import subprocess

import pytest

from harness import TOP, Tail, proc

TIME = 120
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture
def tools(directory):
    """A folder in front of PATH whose apt-get and sudo only write down that they were called."""
    folder = directory / "bin"
    folder.mkdir(mode=0o755)
    calls = directory / "calls"
    calls.touch()
    calls.chmod(0o666)

    def add(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    for name in ("apt-get", "sudo"):
        add(name, f'echo "{name} $*" >>{calls}; exit 1')
    add.calls = calls
    add.environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(directory)}
    directory.chmod(0o777)
    return add


def run(*arguments, tools, wrapper=()):
    return subprocess.run([*wrapper, "./run", *map(str, arguments)], cwd=TOP, capture_output=True, text=True, timeout=TIME,
                          env=tools.environment, stdin=subprocess.DEVNULL, check=False)


@pytest.mark.limit(TIME)
def test_once(tools, port, directory):
    """The whole show; nothing missing means no apt and no sudo; nothing is left."""
    done = run("--once", "--port", port, tools=tools)
    assert done.returncode == 0, done
    assert "hello" in done.stdout
    match = re.search(r"^reload 1 committed, 0 of (\d+) connections failed$", done.stdout, re.MULTILINE)
    assert match and int(match[1]) > 10, done.stdout
    assert tools.calls.read_text() == ""
    assert not list(directory.glob("reloader-*"))


@pytest.mark.root
@pytest.mark.limit(TIME)
def test_once_as_an_ordinary_user(tools, port):
    """With everything installed and built, nobody needs to be anybody."""
    done = run("--once", "--port", port, tools=tools, wrapper=NOBODY)
    assert done.returncode == 0, done
    assert re.search(r"^reload 1 committed, 0 of \d+ connections failed$", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.limit(TIME)
def test_stays_until_ctrl_c(tools, port, directory):
    """In the foreground it says what to try next, and it works; Ctrl-C ends everything, the status is 0."""
    log = Tail(directory / "run.log")
    with open(log.path, "ab") as output:
        process = subprocess.Popen(["./run", "--port", str(port)], cwd=TOP, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                                   env=tools.environment, start_new_session=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    command = log.wait(r"^ +(\S*reloaderctl .* reload)$", seconds=TIME)[1]
    done = subprocess.run(command.split(), cwd=TOP, timeout=60, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "committed" in done.stdout, done
    log.wait(r"reload 2 committed")
    # As a terminal does: to the whole foreground group.
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 0, log.text()
    assert not proc.descendants(os.getpid())
    assert not proc.tcp_listeners(port) and not list(directory.glob("reloader-*"))


def test_port_taken(tools, port):
    """By whom, and how to choose another."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        done = run("--once", "--port", port, tools=tools)
    assert done.returncode == 1, done
    assert re.search(rf"127\.0\.0\.1:{port}.*in use by .*\(pid {os.getpid()}\)", done.stderr), done.stderr
    assert "./run --port 7001" in done.stderr


@pytest.mark.root
def test_missing_and_no_rights(tools):
    """Lists the packages and leaves with 3, without touching apt."""
    tools("dpkg-query", "exit 1")
    done = run("--once", tools=tools, wrapper=NOBODY)
    assert done.returncode == 3, done
    for package in ("gcc", "meson", "ninja-build", "libsystemd-dev", "libyaml-dev", "libjansson-dev"):
        assert package in done.stderr, package
    assert "apt-get" not in tools.calls.read_text().replace("sudo -n", "")


# A /usr/sbin of its own: with or without a policy-rc.d, as the test likes.
PRIVATE = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /usr/sbin || exit 9; exec "$@"', "sh"]
POLICY = "/usr/sbin/policy-rc.d"
INSTALL = '. tools/setup.sh; install_missing $BUILD_PACKAGES; echo "went on"; test ! -e /usr/sbin/policy-rc.d || cat /usr/sbin/policy-rc.d'


def install(tools, script=INSTALL):
    tools("dpkg-query", 'for last; do :; done; [ "$last" = libyaml-dev ] || echo installed')
    return subprocess.run([*PRIVATE, "sh", "-c", script], cwd=TOP, env=tools.environment, capture_output=True, text=True,
                          timeout=30, check=False)


@pytest.mark.root
def test_installs_by_name_without_starting_servers(tools):
    """Just what is missing, no recommended extras, no questions; meanwhile a policy forbids to start services."""
    tools("apt-get", f'echo "$DEBIAN_FRONTEND $*" >>{tools.calls}; {POLICY}; echo "policy $?" >>{tools.calls}')
    done = install(tools)
    assert done.returncode == 0 and done.stdout.endswith("went on\n"), done
    update, first, installing, second = tools.calls.read_text().splitlines()
    assert update.startswith("noninteractive") and update.endswith("update")
    assert first == second == "policy 101"
    assert installing.endswith(" install libyaml-dev") and "--no-install-recommends" in installing and " -y " in installing


@pytest.mark.root
def test_policy_of_the_machine_is_respected(tools):
    tools("apt-get", "exit 0")
    done = install(tools, f"printf '#!/bin/sh\nexit 7\n' >{POLICY}; {INSTALL}")
    assert done.returncode == 0 and done.stdout.endswith("went on\n#!/bin/sh\nexit 7\n"), done


@pytest.mark.root
def test_installing_fails(tools):
    """apt has no network, say: 3, with its words; the policy is gone all the same."""
    tools("apt-get", "echo E: no network >&2; exit 100")
    done = install(tools, f"({INSTALL}); echo $?; ls /usr/sbin")
    assert done.stdout.splitlines()[-1] == "3" and "no network" in done.stderr and "libyaml-dev" in done.stderr, done


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--port"], ["--port", "http"]])
def test_usage(tools, arguments):
    assert run(*arguments, tools=tools).returncode == 2


def test_sum_of_tests(directory):
    """The closing line of ./test adds up all suites; a suite without a report is a failure."""
    good, bad = directory / "good.xml", directory / "bad.xml"
    good.write_text('<testsuites><testsuite><testcase name="a"/><testcase name="b"/></testsuite></testsuites>')
    bad.write_text('<testsuite><testcase name="c"><failure message="why"/></testcase>'
                   '<testcase name="d"><skipped message="because"/></testcase></testsuite>')

    def add(*arguments):
        done = subprocess.run([TOP / "tools" / "sum-tests", *map(str, arguments)], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    assert add(good) == (0, ["2 passed, 0 failed, 0 skipped"])
    code, lines = add(good, bad)
    assert (code, lines[-1]) == (1, "2 passed, 1 failed, 1 skipped")
    assert any("c: why" in line for line in lines) and any("d: because" in line for line in lines)
    assert add(good, directory / "none.xml")[1][-1] == "2 passed, 1 failed, 0 skipped"
    assert add("--failed", 1, good) == (1, ["2 passed, 1 failed, 0 skipped"])
