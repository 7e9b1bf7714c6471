"""Servers as they are: Node in its own words, gunicorn, Python."""
import shutil

import pytest

from harness import Load, TOP, WORKERS, configs, proc
from harness.paths import PYTHON
from harness.record import Record

RELOADS = 5
NODE = shutil.which("node") or shutil.which("nodejs")
GUNICORN = shutil.which("gunicorn", path="/usr/bin:/bin")


def reload_http(master, directory, config, port, rate):
    one = master(config)
    (name,) = one.programs
    with Load(directory, f"127.0.0.1:{port}", echo_rate=0, streams=0, http_rate=rate):
        for _ in range(RELOADS):
            one.hup()
        one.wait_drained()
    assert one.generation(name) == RELOADS + 1
    return one


def http(port, command, **program):
    return {"sockets": {"web": {"listen": f"127.0.0.1:{port}"}},
            "programs": {"web": {"command": command, "sockets": ["web"], "workers": 2, **program}}}


def need(program, package):
    """On Debian a missing package is a failure; ./test installs it."""
    assert program, f"{package} is not installed; ./test installs it"


@pytest.mark.limit(120)
def test_node_cluster_half(master, directory, port):
    """The worker half of the classic cluster example, on the fd it was given: told, closed, stopped."""
    need(NODE, "nodejs")
    record = Record(directory / "record")
    config = http(port, [NODE, str(WORKERS / "cluster_half.js"), str(record.path)], handoff=["env", "node-ipc"])
    one = reload_http(master, directory, config, port, 200)
    listener = proc.tcp_listeners(port)
    seen = proc.environment(one.pids()[0])
    assert seen["NODE_CHANNEL_FD"] == seen["RELOADER_CHANNEL_FD"] and seen["NODE_CHANNEL_SERIALIZATION_MODE"] == "json"
    assert proc.socket_inode(one.pids()[0], 3) == listener[0]
    for pid in {entry["pid"] for entry in record.entries()} - set(one.pids()):
        assert record.words(pid=pid) == ["graceful_shutdown", "fully_closed"]


@pytest.mark.limit(120)
def test_node_example(master, directory, port):
    """examples/node; node-ipc comes by itself where the command is node."""
    need(NODE, "nodejs")
    (script,) = [path for path in (TOP / "examples" / "node").glob("*.js")]
    reload_http(master, directory, http(port, [NODE, str(script)]), port, 200)


@pytest.mark.slow
@pytest.mark.limit(150)
def test_gunicorn(master, directory, port):
    """Takes LISTEN_FDS, knows nothing of channels: drain: signal."""
    need(GUNICORN, "gunicorn")
    config = http(port, [GUNICORN, "--workers", "2", "wsgi:app"], directory=str(WORKERS), drain="signal", environment={"PYTHONDONTWRITEBYTECODE": "1"})
    reload_http(master, directory, config, port, 200)


@pytest.mark.limit(120)
def test_python_example(master, directory, port):
    """examples/python: http.server on fd 3."""
    (script,) = (TOP / "examples" / "python").glob("*.py")
    # It never says that it is ready: time counts, and less of it than in life.
    quick = {"start_seconds": "500ms", "reload": {"probation": "0s"}}
    reload_http(master, directory, http(port, [PYTHON, str(script)], **quick), port, 100)


def test_node_gets_json_only(master, directory):
    """An unquoted line would crash it: what a node worker reads is JSON."""
    need(NODE, "nodejs")
    script = directory / "worker.js"
    script.write_text("process.on('message', (m) => { console.error('got', JSON.stringify(m)); process.exit(0); });\n"
                      "process.send('ready');\n")
    one = master({"programs": {"n": {"command": [NODE, str(script)]}}})
    one.hup()
    assert one.wait_line(r'^got "graceful_shutdown"$')
