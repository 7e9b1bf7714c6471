"""Bad configurations: a clear message with its place, and at a reload nothing changes."""
import json
import os
import re
import socket
import subprocess

import pytest

from harness import BINARIES, configs, isolation
from harness.master import Master

TRUE = "/bin/true"


def run(*arguments, cwd=None, seconds=20, user=None):
    return subprocess.run([BINARIES.reloader, *map(str, arguments)], capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL, cwd=cwd, user=user, check=False)


def program(**keys):
    return {"programs": {"web": {"command": [TRUE], **keys}}}


ALIAS_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi"))

# name: (text or dict, what the message says)
BROKEN = {
    "broken YAML": ("programs: [\n", r"bad\.yaml:\d+:\d+: "),
    "tabs": ("programs:\n\tweb: {}\n", r"bad\.yaml:2:1: "),
    "empty file": ("", r"bad\.yaml.*programs"),
    "not a mapping": ("- a\n- b\n", r"bad\.yaml:1:1: "),
    "two documents": ("programs: {web: {command: [a]}}\n---\nprograms: {}\n", r"bad\.yaml:2:"),
    "NUL byte": ("programs: {web: {command: [\"a\\0b\"]}}\n", r"bad\.yaml:1:"),
    "not UTF-8": (b"programs: {web: {command: [\xff\xfe]}}\n", r"bad\.yaml"),
    "unknown key": ({"programs": {"web": {"command": [TRUE], "wokers": 2}}}, r"programs\.web\.wokers: .*did you mean 'workers'\?"),
    "foreign name": ({"programs": {"web": {"command": [TRUE], "numprocs": 2}}}, r"numprocs: .*called 'workers' here"),
    "unknown key at the top": ("programms: {}\n", r"bad\.yaml:1:1: programms: .*did you mean 'programs'\?"),
    "doubled key": ("programs:\n  web:\n    command: [a]\n    command: [b]\n", r"bad\.yaml:4:5: programs\.web\.command: "),
    "doubled program": ("programs:\n  web: {command: [a]}\n  web: {command: [b]}\n", r"bad\.yaml:3:3: programs\.web: "),
    "wrong type, list for a number": (program(workers=[1]), r"programs\.web\.workers: "),
    "wrong type, text for a number": (program(workers="many"), r"programs\.web\.workers: "),
    "wrong type, number for a mapping": (program(reload=3), r"programs\.web\.reload: "),
    "wrong type, text for a boolean": (program(silent="perhaps"), r"programs\.web\.silent: "),
    "no workers": (program(workers=0), r"programs\.web\.workers: "),
    "fewer than no workers": (program(workers=-1), r"programs\.web\.workers: "),
    "a billion workers": (program(workers=10**9), r"programs\.web\.workers: .*1024"),
    "beyond 64 bits": (program(workers=10**30), r"programs\.web\.workers: "),
    "half a worker": (program(workers=1.5), r"programs\.web\.workers: "),
    "no unit": (program(stop_timeout=10), r"programs\.web\.stop_timeout: .*(unit|10s)"),
    "unknown unit": (program(stop_timeout="10 parsecs"), r"programs\.web\.stop_timeout: "),
    "negative time": (program(stop_timeout="-1s"), r"programs\.web\.stop_timeout: "),
    "spread without a unit": (program(disconnect_spread=30), r"programs\.web\.disconnect_spread: .*(unit|30s)"),
    "a negative spread": (program(disconnect_spread="-30s"), r"programs\.web\.disconnect_spread: "),
    "a spread over months": (program(disconnect_spread="2000h"), r"programs\.web\.disconnect_spread: .*out of range"),
    "a spread of words": (program(disconnect_spread="slowly"), r"programs\.web\.disconnect_spread: "),
    "unknown signal": (program(stop_signal="TERMINATE"), r"programs\.web\.stop_signal: "),
    "unknown word": (program(kill_mode="all"), r"programs\.web\.kill_mode: .*mixed"),
    "percent over all": (program(reload={"max_unavailable": "101%"}), r"max_unavailable: "),
    "empty command": (program(command=[]), r"programs\.web\.command: "),
    "empty text as command": (program(command=""), r"programs\.web\.command: "),
    "empty first word": (program(command=["", "x"]), r"programs\.web\.command"),
    "open quote": (program(command="sh -c 'exit"), r"programs\.web\.command: "),
    "no command": ({"programs": {"web": {"workers": 1}}}, r"programs\.web.*command"),
    "a name for all of them": ({"programs": {"all": {"command": [TRUE]}}}, r"bad\.yaml:\d+:\d+: programs\.all: this name is taken, .*choose another"),
    "a key of circus": (program(singleton=True), r"programs\.web\.singleton: .*workers: 1.*canary: false"),
    "hooks of circus": (program(hooks={}), r"programs\.web\.hooks: .*on_event"),
    "a key of PM2": (program(shutdown_with_message=True), r"programs\.web\.shutdown_with_message: .*called 'drain: message' here"),
    "no programs": ({"programs": {}}, r"programs"),
    "a socket nobody defined": (program(sockets=["nowhere"]), r"programs\.web\.sockets.*nowhere"),
    "host name": ({"sockets": {"s": {"listen": "example.com:80"}}, **program(sockets=["s"])}, r"sockets\.s\.listen: .*(numeric|name)"),
    "port out of range": ({"sockets": {"s": {"listen": "127.0.0.1:70000"}}, **program(sockets=["s"])}, r"sockets\.s\.listen: "),
    "path too long": ({"sockets": {"s": {"listen": "unix:/" + "x" * 200}}, **program(sockets=["s"])}, r"sockets\.s\.listen: .*(long|107|108)"),
    "UDP path": ({"programs": {"web": {"command": [TRUE], "listen": "udp:/run/x"}}}, r"programs\.web\.listen: .*UDP has no paths"),
    "two sockets with one path": ({"sockets": {"a": {"listen": "unix:/tmp/x.sock"}, "b": {"listen": "unix:/tmp/x.sock"}},
                                   **program(sockets=["a", "b"])}, r"sockets\.b\.listen: .*\ba\b"),
    "two programs with one path": ({"programs": {"a": {"command": [TRUE], "listen": "unix:/tmp/x.sock"},
                                                 "b": {"command": [TRUE], "listen": "unix:/tmp/x.sock"}}}, r"programs\.b\.listen: "),
    "two programs with one port": ({"programs": {"a": {"command": [TRUE], "listen": 8080},
                                                 "b": {"command": [TRUE], "listen": "*:8080"}}}, r"programs\.b\.listen: "),
    "missing directory": (program(directory="/nonexistent/place"), r"programs\.web\.directory: .*/nonexistent/place"),
    "file as directory": (program(directory="/etc/passwd"), r"programs\.web\.directory: "),
    "missing environment file": (program(environment_file="/nonexistent/env"), r"/nonexistent/env"),
    "unknown expansion": (program(environment={"A": "%(nonsense)s"}), r"environment\.A: .*nonsense.*program_name"),
    "stray percent": (program(command=["printf", "100%"]), r"programs\.web\.command.*%%"),
    "canary without surge": ({"sockets": {"s": {"listen": "unix:@x"}},
                              **program(sockets=["s"], reload={"canary": True, "max_surge": 0})}, r"max_surge"),
    "ready-first without surge": (program(reload={"order": "ready-first", "canary": False, "max_surge": 0}), r"max_surge"),
    "drain-first that may not": (program(reload={"max_unavailable": 0}), r"max_unavailable"),
    "a gateway for everybody": ({"gateway": {"listen": "0.0.0.0:1"}, **program()}, r"gateway\.listen: whoever reaches this address could do anything"),
    "a gateway without address": ({"gateway": {"username": "me", "password": "x"}, **program()}, r"gateway: .*listen"),
    "a gateway over UDP": ({"gateway": {"listen": "udp:127.0.0.1:1"}, **program()}, r"gateway\.listen: .*HTTP is not served over UDP"),
    "a user without a password": ({"gateway": {"listen": "127.0.0.1:1", "username": "me"}, **program()}, r"gateway\.username: needs a password"),
    "a password of nobody": ({"gateway": {"listen": "127.0.0.1:1", "password": "x"}, **program()}, r"gateway\.password: needs a username"),
    "two passwords": ({"gateway": {"listen": "127.0.0.1:1", "username": "me", "password": "x", "password_file": "y"}, **program()}, r"gateway\.password: .*leave out one"),
    "a public path that is none": ({"gateway": {"listen": "127.0.0.1:1", "public": ["ready"]}, **program()}, r"gateway\.public: .*'ready'.*readyz"),
    "a gateway of another program": ({"gateway": {"daemon_port": 9999}, **program()}, r"gateway\.daemon_port: .*called 'listen' here"),
    "watch nothing": (program(watch=[]), r"programs\.web\.watch: empty, expected paths"),
    "watch a mapping": (program(watch={"path": "lib"}), r"programs\.web\.watch: .*lib/, views/"),
    "watch with braces": (program(watch=["src/*.{js,ts}"]), r"programs\.web\.watch: .*a pattern for each"),
    "stars in a name": (program(watch=["src/a**"]), r"programs\.web\.watch: .*whole name"),
    "open bracket": (program(watch=["src/[a-z"]), r"programs\.web\.watch: .*']'"),
    "a path to ignore": (program(watch=True, watch_ignore=["lib/tmp"]), r"programs\.web\.watch_ignore: 'lib/tmp': .*no '/'"),
    "an exception to ignore": (program(watch=True, watch_ignore=["!x"]), r"programs\.web\.watch_ignore: .*no exceptions"),
    "delay without unit": (program(watch=True, reload_delay=5), r"programs\.web\.reload_delay: .*unit"),
    "delay of a day": (program(watch=True, reload_delay="24h"), r"programs\.web\.reload_delay: .*up to 1h"),
    "perhaps watch the file": ({"watch_config": "perhaps", **program()}, r"watch_config: .*true or false"),
    "include of a missing file": ({"include": ["nowhere.yaml"], **program()}, r"bad\.yaml:\d+:\d+: include: there is no file '.*/nowhere\.yaml'"),
    "include of a directory": ({"include": "/etc", **program()}, r"include: '/etc' is a directory: .*/etc/\*\.yaml"),
    "include of all levels": ({"include": "**/*.yaml", **program()}, r"include: \*\* is not known"),
    "include as of Supervisor": ({"include": {"files": "conf.d/*"}, **program()}, r"include: a mapping .*conf\.d/\*\.yaml"),
    "alias bomb": (ALIAS_BOMB + "programs: {web: {command: [a]}}\n", r"bad\.yaml"),
    "alias to itself": ("programs: &p {web: {command: *p}}\n", r"bad\.yaml:1:"),
    "unknown alias": ("programs: *nobody\n", r"bad\.yaml:1:"),
    "deep nesting": ("programs: " + "[" * 5000 + "]" * 5000 + "\n", r"bad\.yaml:1:.*(deep|nest)"),
    "bad environment name": (program(environment={"A=B": "x"}), r"environment"),
    "bad program name": ({"programs": {"a/b": {"command": [TRUE]}}}, r"programs\.a/b"),
}


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))


@pytest.mark.sanitized
@pytest.mark.parametrize("content,message", BROKEN.values(), ids=BROKEN.keys())
def test_refused_at_start(directory, content, message):
    """Exit status 3 and a message that names the place; --check says the same."""
    path = directory / "bad.yaml"
    write(path, content)
    for arguments in (["-c", path], ["--check", path]):
        done = run(*arguments)
        assert done.returncode == 3, done
        assert re.search(message, done.stderr), done.stderr
        assert not done.stdout, "errors go to stderr"
        assert len(done.stderr) < 20000


@pytest.mark.sanitized
def test_refused_at_reload(master, directory, port):
    """Each of them, one after the other, on one running master: nothing changes."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2), name="bad")
    good, pids = one.config, one.pids()
    for name, (content, message) in BROKEN.items():
        write(one.path, content)
        reply = one.reload()
        assert reply["result"] == "refused", name
        assert re.search(message, reply["reason"]), f"{name}: {reply['reason']}"
    assert one.pids() == pids
    one.write(good)
    one.hup()
    assert one.generation() == 2, "a refused reload makes no generation"


def test_all_errors_at_once(directory):
    path = directory / "bad.yaml"
    write(path, "programs:\n  web:\n    command: []\n    workers: 0\n    stop_timeout: 5\nfoo: 1\n")
    done = run("-c", path)
    places = re.findall(r"^\S*bad\.yaml:(\d+):\d+: ", done.stderr, re.MULTILINE)
    assert set(places) >= {"3", "4", "5", "6"}, done.stderr


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "device", "huge", "unreadable"])
def test_not_a_file_to_read(directory, kind):
    """Refused without reading, hanging or filling memory."""
    path = directory / "odd.yaml"
    user = None
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = "/dev/zero"
    elif kind == "huge":
        with open(path, "wb") as file:
            file.truncate(1 << 30)
    elif kind == "unreadable":
        path.write_text("programs: {}\n")
        path.chmod(0)
        if os.geteuid() == 0:
            user = 65534
    done = run("-c", path, user=user)
    assert done.returncode == 3, done
    expected = {"missing": "No such file", "directory": "directory", "fifo": "regular file", "device": "regular file",
                "huge": "1 MiB|large|big|bytes", "unreadable": "Permission denied"}[kind]
    assert re.search(expected, done.stderr), done.stderr


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "huge"])
def test_not_a_file_to_read_at_reload(master, port, kind):
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1))
    pids = one.pids()
    one.path.unlink()
    if kind == "directory":
        one.path.mkdir()
    elif kind == "fifo":
        os.mkfifo(one.path)
    elif kind == "huge":
        with open(one.path, "wb") as file:
            file.truncate(1 << 30)
    one.hup("refused")
    assert one.pids() == pids


def test_no_file_anywhere(directory):
    """Without -c it says where it looked."""
    done = run(cwd=directory)
    assert done.returncode == 3
    for place in ("./reloader.yaml", "./etc/reloader.yaml", "/etc/reloader/reloader.yaml"):
        assert place in done.stderr


def test_search_order(directory):
    (directory / "etc").mkdir()
    write(directory / "etc" / "reloader.yaml", program())
    assert run("--check", cwd=directory).returncode == 0
    write(directory / "reloader.yaml", program(workers=0))
    assert run("--check", cwd=directory).returncode == 3


@pytest.mark.parametrize("arguments", [["--nonsense"], ["-c"], ["--set"], ["--set", "workers"], ["a.yaml", "b.yaml"], ["run"],
                                       ["run", "--listen", "8080"], ["run", "--workers", "x", "--", "true"], ["-e", "loud"]])
def test_usage(directory, arguments):
    done = run(*arguments, cwd=directory)
    assert done.returncode in (2, 3) and done.stderr, done
    if arguments[0] in ("--nonsense", "-c", "--set", "run") and "--workers" not in arguments and "workers" not in arguments:
        assert done.returncode == 2, done


def test_set_wins_and_is_checked(directory):
    path = directory / "good.yaml"
    write(path, program(workers=1))
    assert "workers: 3" in run("-c", path, "--set", "programs.web.workers=3", "--print-config").stdout
    done = run("-c", path, "--set", "programs.web.workers=0", "--check")
    assert done.returncode == 3 and "--set" in done.stderr, done
    done = run("-c", path, "--set", "programs.web.nonsense=0", "--check")
    assert done.returncode == 3 and "nonsense" in done.stderr


def test_print_config_loads_to_the_same(directory):
    path = directory / "good.yaml"
    write(path, {"sockets": {"s": {"listen": 8080, "backlog": 7}},
                 "programs": {"web": {"command": "sh -c 'exec x'", "sockets": "s", "workers": 3, "stop_timeout": "1500ms",
                                      "environment": {"A": "100%%", "B": "it's \"quoted\"\n"}, "reload": {"max_surge": "50%"}}}})
    first = run("-c", path, "--print-config")
    assert first.returncode == 0, first
    again = directory / "printed.yaml"
    again.write_text(first.stdout)
    second = run("-c", again, "--print-config")
    assert second.returncode == 0, second
    assert first.stdout == second.stdout
    assert "disconnect_timeout: 10s" in first.stdout, "defaults are shown"


def test_address_in_use(directory, port):
    """By whom: name and pid."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        one = Master(directory, configs.echo(f"127.0.0.1:{port}"))
        one.wait_end(1)
        assert re.search(rf"127\.0\.0\.1:{port}: address in use by python3\S* \(pid {os.getpid()}\)", one.log.text()), one.log.text()


def test_live_unix_socket(directory):
    path = directory / "live.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        one = Master(directory, configs.echo(f"unix:{path}"))
        one.wait_end(1)
        assert re.search(r"live\.sock: .*in use", one.log.text()), one.log.text()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_other_file_at_a_socket_path(directory):
    """Only a stale socket is replaced; a file of another kind is somebody's."""
    path = directory / "precious"
    path.write_text("data")
    one = Master(directory, configs.echo(f"unix:{path}"))
    one.wait_end(1)
    assert path.read_text() == "data"


@pytest.mark.root
def test_port_without_rights(directory):
    """As an ordinary user a port below 1024 needs a remedy."""
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as setting:
        setting.write("1024")
    os.chown(directory, 65534, 65534)
    one = Master(directory, configs.echo("127.0.0.1:80"), wrapper=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    one.wait_end(1)
    assert re.search(r"127\.0\.0\.1:80: .*(root|CAP_NET_BIND_SERVICE)", one.log.text()), one.log.text()


def test_one_bad_address_of_two(directory, port):
    """Nothing is left bound, no worker was started."""
    other = isolation.free_port()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", other))
        holder.listen()
        config = configs.echo(f"127.0.0.1:{port}")
        config["sockets"]["second"] = {"listen": f"127.0.0.1:{other}"}
        config["programs"]["echo"]["sockets"].append("second")
        one = Master(directory, config)
        one.wait_end(1)
        assert not one.log.find("up, pid")


CHANGES = {
    "changed runtime directory": (lambda config: config.update(runtime_directory="/tmp/elsewhere"), "runtime_directory"),
    "changed pid file": (lambda config: config.update(pid_file="/tmp/reloader-test.pid"), "pid_file"),
}


def test_changes_that_need_a_restart(master, port):
    """What this version can't change in a running master is refused by name."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["programs"]["extra"] = {"command": ["sleep", "1000"], "start_seconds": "10ms"}
    one = master(config)
    pids, text = one.pids(), json.dumps(one.config)
    for name, (change, message) in CHANGES.items():
        changed = json.loads(text)
        change(changed)
        one.write(changed)
        reply = one.reload()
        assert reply["result"] == "refused" and re.search(message, reply["reason"]), f"{name}: {reply}"
    assert one.pids() == pids
    one.write(json.loads(text))
    one.hup()


OBSTACLES = {
    "not in PATH": ({"command": ["nod", "app.js"], "environment": {"PATH": "/opt/none:/usr/none"}},
                    "cannot execute 'nod': No such file or directory (it is in no directory of its PATH), which is /opt/none:/usr/none"),
    "no PATH": ({"command": "nod", "clear_environment": True},
                "cannot execute 'nod': No such file or directory (it is in no directory of its PATH), which is /usr/bin:/bin:/usr/sbin:/sbin"),
    "relative": ({"command": "./bin/app-%(process_num)s"}, "cannot execute './bin/app-0': No such file or directory"),
    "a directory": ({"command": "/usr"}, "cannot execute '/usr': Is a directory"),
    "with a socket": ({"command": "/opt/none/web", "sockets": ["tcp"]}, "cannot execute '/opt/none/web': No such file or directory"),
}


@pytest.mark.parametrize("keys, text", OBSTACLES.values(), ids=OBSTACLES)
def test_check_tells_what_would_not_start(directory, keys, text):
    """The configuration is valid: it may be meant for another machine."""
    path = directory / "app.yaml"
    config = {**program(**keys), "sockets": {"tcp": {"listen": "unix:tcp.sock"}}}
    config["programs"]["fine"] = {"command": ["true"]}
    path.write_text(json.dumps(config))
    done = run("--check", path)
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == [f"{path}: valid, 2 programs, 1 socket", f"but program 'web' would not start here: {text}"]


@pytest.mark.parametrize("keys", [{"command": "/opt/none/%(generation)s/app"}, {"command": "./app", "directory": "/opt/none-%(generation)s"},
                                  {"command": "nod", "environment": {"PATH": "/opt/none/%(generation)s"}}])
def test_check_does_not_guess_the_generation(directory, keys):
    """What depends on it need not be there yet, or under that number."""
    path = directory / "app.yaml"
    path.write_text(json.dumps(program(**keys)))
    done = run("--check", path)
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"{path}: valid, 1 program, 0 sockets"])


def test_check_looks_as_a_start_does(directory):
    """Along the PATH of the program's own environment, and from its own directory."""
    (directory / "bin").mkdir()
    (directory / "bin" / "app").symlink_to(TRUE)
    (directory / "settings").write_text(f"PATH={directory}/bin\n")
    path = directory / "app.yaml"
    path.write_text(json.dumps({"programs": {
        "a": {"command": "app", "environment_file": "settings"}, "b": {"command": "app", "environment": {"PATH": "%(here)s/bin"}},
        "c": {"command": "./app", "directory": "bin"}}}))
    done = run("--check", path)
    assert (done.returncode, done.stdout) == (0, f"{path}: valid, 3 programs, 0 sockets\n"), done
