"""reloader import: what another supervisor was told runs under reloader as it ran there."""
import json
import os
import shutil
import signal
import subprocess
import urllib.request

import pytest

from harness import BINARIES, proc
from harness.paths import PYTHON

NODE = shutil.which("node") or shutil.which("nodejs")
PORTS = range(8080, 8084)  # ours alone in a network namespace

SERVER = """
import argparse, http.server, os
parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
port = parser.parse_args().port

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{os.getpid()} {os.getcwd()} {os.environ['SITE']}".encode())

http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

SUPERVISORD = """
[unix_http_server]
file=%(here)s/reloader.run/control.sock   ; where reloaderctl is told to look
chmod=0700

[supervisord]
logfile=/dev/stdout
logfile_maxbytes=0
environment=SITE="%(ENV_SITE_NAME)s"

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix:///tmp/supervisor.sock

[include]
files = conf.d/*.conf
"""

TORNADO = """
[group:tornadoes]
programs=tornado

[program:tornado]
command={python} {base}/site/server.py --port=%(process_num)s ; one port for each
process_name=%(program_name)s-%(process_num)s
numprocs=4
numprocs_start=8080
directory=%(here)s/../site
autorestart=true
redirect_stderr=true
"""

APP = """
const server = require('node:http').createServer((request, response) => response.end(`${process.pid} ${require('./libs/text')}`));
server.listen({ fd: 3 }, () => process.send('ready'));
process.on('message', (message) => message === 'graceful_shutdown' && server.close(() => process.send('fully_closed')));
"""


def run(*arguments, **options):
    return subprocess.run([BINARIES.reloader, *map(str, arguments)], capture_output=True, text=True, timeout=20, check=False, **options)


def imported(directory, path, **options):
    """The text, after --check found it valid."""
    done = run("import", path, **options)
    assert done.returncode == 0, done
    checked = directory / "checked.yaml"
    checked.write_text(done.stdout)
    assert run("--check", checked, **options).returncode == 0, done.stdout
    return done.stdout


def get(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
        return response.read().decode().split()


def write_tornado(directory):
    (directory / "site").mkdir()
    (directory / "conf.d").mkdir()
    (directory / "site" / "server.py").write_text(SERVER)
    (directory / "supervisord.conf").write_text(SUPERVISORD)
    (directory / "conf.d" / "tornado.conf").write_text(TORNADO.format(python=PYTHON, base=directory))
    return directory / "supervisord.conf"


def await_servers(one):
    """All have begun to listen: being ready is a matter of time for a program that says nothing."""
    for port in PORTS:
        one.wait(lambda _, port=port: proc.tcp_listeners(port), f"somebody listens on {port}")


@pytest.mark.root
def test_tornado(master, directory):
    """Four processes on 8080 to 8083, each on the same port after it was killed, and after a reload."""
    environment = {**os.environ, "SITE_NAME": "shop"}
    text = imported(directory, write_tornado(directory), env=environment)
    one = master(text, environment=environment, arguments=["--set", f"runtime_directory={directory}/reloader.run"])

    def check(pids):
        await_servers(one)
        assert [get(port) for port in PORTS] == [[str(pid), str(directory / "site"), "shop"] for pid in pids]
        for port, pid in zip(PORTS, pids):
            assert proc.read(pid, "cmdline").split(b"\0")[2] == b"--port=%d" % port

    pids = one.pids("tornado")
    assert [slot["name"] for slot in one.slots("tornado")] == [f"tornado-{port}" for port in PORTS]
    check(pids)
    os.kill(pids[2], signal.SIGKILL)
    one.wait(lambda status: len(set(one.pids(status=status)) - {pids[2]}) == 4, "the killed one is replaced")
    assert [one.pids()[slot] for slot in (0, 1, 3)] == [pids[slot] for slot in (0, 1, 3)]
    check(one.pids())
    one.hup()
    assert set(one.pids()).isdisjoint(pids)
    check(one.pids())


def replace(directory, name, text):
    """At once: nobody starts with half of it."""
    draft = directory / "draft"
    draft.write_text(text)
    draft.rename(directory / name)


def test_qilin(master, directory, port):
    """A changed file brings new workers, with the delay of the file."""
    if not NODE:
        pytest.fail("nodejs is missing: apt-get install nodejs")
    (directory / "libs").mkdir()
    (directory / "libs" / "text.js").write_text("module.exports = 'old';")
    (directory / "app.js").write_text(APP)
    path = directory / "qilin-daemon.json"
    path.write_text(json.dumps({"exec": "app.js", "args": ["a b"], "workers": 2, "worker_disconnect_timeout": 3000, "watch": ["libs"],
                                "reload_delay": 200, "silent": False, "daemon_port": 9999, "ps_name": "shop"}, indent=2))
    text = imported(directory, path)
    one = master(text, arguments=["--set", f"runtime_directory={directory}/reloader.run", "--set", f"programs.app.listen=127.0.0.1:{port}"])
    pids = one.pids("app")
    assert len(pids) == 2 and get(port)[1] == "old"
    for pid in pids:
        assert proc.read(pid, "cmdline").split(b"\0")[1:3] == [b"app.js", b"a b"]
    assert proc.read(one.pid, "cmdline").split(b"\0")[0].startswith(b"shop")
    replace(directory, "libs/text.js", "module.exports = 'new';")
    one.wait_line("reload 1 committed")
    assert set(one.pids()).isdisjoint(pids)
    one.wait_drained()
    assert get(port)[1] == "new"
    # The script is watched without being named.
    replace(directory, "app.js", APP + "// changed\n")
    one.wait_line("reload 2 committed")


@pytest.mark.root
def test_needs_no_rights(directory):
    """By somebody who has none, and who leaves nothing behind."""
    path = write_tornado(directory)
    before = sorted(directory.rglob("*"))
    done = run("import", path, user="nobody", group="nogroup", extra_groups=[], env={**os.environ, "SITE_NAME": "shop"})
    assert done.returncode == 0 and "  tornado:\n" in done.stdout, done
    assert sorted(directory.rglob("*")) == before


def test_marks_of_editors_on_windows(directory):
    """A byte order mark and carriage returns, in an included file as well."""
    (directory / "main.conf").write_bytes(b"\xef\xbb\xbf[include]\r\nfiles = more.conf\r\n")
    (directory / "more.conf").write_bytes(b"\xef\xbb\xbf[program:web]\r\ncommand = sleep 1000\r\n")
    done = run("import", directory / "main.conf")
    assert done.returncode == 0 and "command: [sleep, 1000]" in done.stdout and "\r" not in done.stdout, done


@pytest.mark.parametrize("text, message", [
    ("[program:web]\ncommand\n", ":2: this is neither a section nor a setting: expected"),
    ("{\"exec\": }", ":1: "),
    ("{\"args\": []}", "there is no \"exec\": expected"),
    ("{\"apps\": [{\"script\": \"app.js\"}]}", ":1: this is a process file of PM2, which is not read"),
    ("[supervisord]\n", "no program in it can be run: expected"),
])
def test_refused(directory, text, message):
    path = directory / "x.conf"
    path.write_text(text)
    done = run("import", path)
    assert done.returncode == 3 and done.stderr.startswith(str(path)) and message in done.stderr, done


@pytest.mark.parametrize("make, message", [
    (lambda path: None, "No such file"), (lambda path: path.mkdir(), "a directory"), (os.mkfifo, "no regular file"),
    (lambda path: path.write_bytes(b"#" * (1 << 20) + b"\n"), "larger than 1 MiB"),
], ids=["missing", "directory", "fifo", "large"])
def test_not_a_file_to_read(directory, make, message):
    path = directory / "x.conf"
    make(path)
    done = run("import", path)
    assert done.returncode == 3 and done.stdout == "" and message in done.stderr, done


@pytest.mark.parametrize("arguments", [["import"], ["import", "a", "b"], ["import", "--check", "a"], ["import", "a", "--set", "x=1"]])
def test_usage(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and done.stderr, done


def test_says_what_is_left_out(directory):
    """On standard error how much it is, on standard output what, where, and why."""
    path = directory / "supervisord.conf"
    path.write_text("[program:web]\ncommand=/bin/cat\nserverurl=AUTO\nstdout_capture_maxbytes=1MB\n[eventlistener:x]\ncommand=x\n")
    done = run("import", path)
    assert done.returncode == 0
    assert "3 settings were not translated" in done.stderr, done
    for line in (3, 4, 5):
        assert f"# {path}:{line}: " in done.stdout
