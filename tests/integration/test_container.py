"""As PID 1 of a container: signals, strangers, a read-only root, exit codes, CPU limits; and what packaging/ has for containers."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import pytest
import yaml

from harness import Load, gateway as alone, proc
from harness.changes import ports
from harness.container import USER, Container
from harness.hostile import ask
from harness.paths import BINARIES, TOP

pytestmark = pytest.mark.root

KUBERNETES = TOP / "packaging" / "kubernetes" / "reloader.yaml"
CONTAINERFILE = TOP / "packaging" / "container" / "Containerfile"


def echo(port, workers=2, **program):
    return {"sockets": {"web": {"listen": f"127.0.0.1:{port}"}},
            "programs": {"web": {"command": ["/usr/local/bin/server"], "sockets": ["web"], "workers": workers, **program}}}


@pytest.fixture
def container(directory):
    started = []

    def start(*arguments, **options):
        started.append(Container(directory, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), 20)
    client.sendall(b"hello")
    assert client.recv(100) == b"hello"
    return client


def test_stop_is_graceful(container, port):
    """What `docker stop` does: connections are finished, no process is left, 0."""
    one = container(echo(port), tmpfs=True)
    one.wait_line("reloader: ready")
    assert proc.field(one.pid, "NSpid").split()[-1] == "1" and proc.field(one.pid, "Uid").split()[0] == str(USER)
    workers = proc.children(one.pid)
    with connect(port) as client:
        one.kill(signal.SIGTERM)
        one.wait_line("web/[01]: draining", times=2)
        assert one.process.poll() is None, "it waits for the connection"
        assert client.recv(1) == b""
    one.wait_end(0)
    assert not any(map(proc.is_running, workers))


def test_told_from_inside(container, port):
    """The kernel drops signals to a PID 1 that does not handle them; this one does."""
    one = container(echo(port), tmpfs=True)
    one.wait_line("reloader: ready")
    assert one.enter("sh", "-c", "kill -HUP 1").returncode == 0
    one.wait_line("web: reload 1 committed")
    one.enter("sh", "-c", "kill -TERM 1")  # who does so ends with the container, if not before
    one.wait_line("SIGTERM received")
    one.wait_end(0)


def test_no_signal_has_its_default_action(container, port):
    one = container(echo(port), tmpfs=True)
    one.wait_line("reloader: ready")
    workers = proc.children(one.pid)
    one.kill(signal.SIGTTIN)
    one.wait_line("web/2: ready")
    one.kill(signal.SIGTTOU)
    one.wait_line("web/2: gone")
    deadly = {signal.SIGTTIN, signal.SIGTTOU,  # these have done what they are for
              signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2,
              # of the machine: the kernel sends them for a fault of the process itself
              signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
    for number in sorted(signal.valid_signals() - deadly):
        one.kill(number)
    one.kill(signal.SIGUSR1)
    one.wait_line("SIGUSR1 received")
    assert one.ctl("status").returncode == 0
    assert sorted(proc.children(one.pid)) == sorted(workers), "none was forwarded, nobody is gone"
    one.kill(signal.SIGQUIT)
    one.wait_end(0)


def test_strangers_are_reaped(container, port):
    """Orphans become children of PID 1: no zombie stays, and the workers' exits are not lost among them."""
    one = container({**echo(port, workers=2), "log": {"level": "debug"}}, tmpfs=True)
    one.wait_line("reloader: ready")
    (victim, other) = proc.children(one.pid)
    script = "i=0; while [ $i -lt 100 ]; do setsid sh -c 'exit 3' & i=$((i+1)); done"
    assert one.enter("sh", "-c", script).returncode == 0
    os.kill(victim, signal.SIGKILL)
    one.wait_line("web/[01]: died, pid .*SIGKILL")
    proc.wait_until(lambda: len(proc.children(one.pid)) == 2 and all(map(proc.is_running, proc.children(one.pid))),
                    "there are two workers and no zombies")
    assert other in proc.children(one.pid)
    one.wait_line("reaped process [0-9]+, which was left to us")
    one.kill(signal.SIGTERM)
    one.wait_end(0)


@pytest.mark.limit(120)
def test_read_only_root_without_control_socket(container, directory, port):
    """Nowhere to write: notify sockets are abstract, and everything else goes on as ever."""
    config = {**echo(port, workers=4, ready="notify", command=["/usr/local/bin/server"]), "control": {"socket": "none"}}
    # tcp-echo uses its channel; without that it says READY=1 to the notify socket
    config["programs"]["web"]["command"] = ["/usr/bin/sh", "-c", "unset RELOADER_CHANNEL_FD; exec /usr/local/bin/server"]
    config["programs"]["web"]["drain"] = "signal"
    one = container(config, environment={"XDG_RUNTIME_DIR": "/nowhere"})
    one.wait_line("/nowhere/reloader: cannot make it: .*; notify sockets get abstract names")
    one.wait_line("reloader: ready")
    names = [proc.environment(pid)["NOTIFY_SOCKET"] for pid in proc.children(one.pid)]
    assert len(set(names)) == 4 and all(name.startswith("@") for name in names)
    with Load(directory, f"127.0.0.1:{port}", 500, 20):
        one.kill(signal.SIGHUP)
        one.wait_line("web: reload 1 committed")
    assert not [what for what in proc.fds(one.pid).values() if what.startswith("/") and not what.startswith(("/dev", "/proc", "/tmp"))]
    one.kill(signal.SIGTERM)
    one.wait_end(0)


def test_forged_notify_datagrams_to_abstract_sockets(container, port):
    """Anybody in the network can write there; nobody but the worker is believed."""
    config = {**echo(port, workers=1, ready="notify", start_timeout="10m", drain="signal"), "control": {"socket": "none"}}
    config["programs"]["web"]["command"] = ["/usr/bin/sleep", "100"]
    one = container(config, environment={"XDG_RUNTIME_DIR": "/nowhere"})
    one.wait_line("web/0: up")
    (worker,) = proc.children(one.pid)
    name = proc.wait_until(lambda: proc.environment(worker).get("NOTIFY_SOCKET"), "it has been executed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + name[1:])
        sender.send(b"READY=1")
    one.wait_line("ignored a datagram of a process that is not the worker's")
    assert not one.log.find("web/0: ready")
    one.kill(signal.SIGQUIT)
    one.wait_end(0)


def test_read_only_root_with_control_socket(container, port):
    """There is no place for it: an error that says what to do."""
    one = container(echo(port), environment={"XDG_RUNTIME_DIR": "/run"})
    one.wait_end(1)
    assert "cannot make it: Read-only file system; let runtime_directory be on a tmpfs" in one.log.text()


def test_runtime_directory_on_a_tmpfs(container, port):
    """That of a volume belongs to root, and others may write to it: the master makes its own in it."""
    one = container(echo(port), tmpfs=True)
    one.wait_line("reloader: ready")
    assert one.ctl("status").returncode == 0
    one.kill(signal.SIGTERM)
    one.wait_end(0)


@pytest.mark.parametrize("config, arguments, code", [
    ("programs: {web: {command: x, workers: none}}", [], 3),
    (None, ["--no-such-option"], 2),
    ({"programs": {"web": {"command": ["/usr/bin/sleep", "9"], "listen": "203.0.113.7:80"}}}, [], 1),
], ids=["configuration", "usage", "failed"])
def test_exit_codes(container, config, arguments, code):
    one = container(config or "", command=["reloader", "-c", "/etc/reloader/reloader.yaml", *arguments], tmpfs=True)
    one.wait_end(code)


@pytest.mark.parametrize("limit, workers", [("100000 100000", 1), ("110000 100000", 2), ("10000 100000", 1), ("max 100000", None)])
def test_workers_auto(container, directory, port, limit, workers):
    cgroup = directory / "cgroup"
    cgroup.mkdir()
    (cgroup / "cpu.max").write_text(limit + "\n")
    one = container(echo(port, workers="auto"), tmpfs=True, cgroup=cgroup)
    one.wait_line("reloader: ready")
    allowed = len(os.sched_getaffinity(0))
    assert len(proc.children(one.pid)) == min(workers or allowed, allowed)
    one.kill(signal.SIGQUIT)
    one.wait_end(0)


# packaging/

def containerfile():
    """The last stage's instructions: {"ENTRYPOINT": […], …}."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stage = re.split(r"^FROM .*$", text, flags=re.MULTILINE)[-1]
    found = {}
    for line in stage.splitlines():
        word, _, rest = line.partition(" ")
        found[word] = rest.strip()
    return found


@pytest.mark.limit(120)
def test_containerfile(container, directory, port):
    """Its entry point as PID 1, its user, its stop signal, its health check."""
    file = containerfile()
    assert file["USER"] == f"{USER}:{USER}"
    name, _, value = file["ENV"].partition("=")
    one = container(echo(port), command=json.loads(file["ENTRYPOINT"]) + json.loads(file["CMD"]), tmpfs=True, environment={name: value})
    one.wait_line("reloader: ready")
    health = json.loads(file["HEALTHCHECK"].partition("CMD")[2])
    assert one.enter(*health).returncode == 0
    with Load(directory, f"127.0.0.1:{port}", 500, 20):
        assert one.ctl("reload").returncode == 0
        one.write("programs: {web: {}}")
        assert one.ctl("reload").returncode == 1
        one.write(echo(port))
        assert one.ctl("reload").returncode == 0
    worker = proc.children(one.pid)[0]
    one.kill(getattr(signal, file["STOPSIGNAL"]))
    one.wait_end(0)
    assert not proc.is_running(worker)


def manifests():
    found = {}
    for document in yaml.safe_load_all(KUBERNETES.read_text()):
        assert {"apiVersion", "kind", "metadata"} <= set(document), document
        found[document["kind"]] = document
    assert set(found) == {"ConfigMap", "Deployment", "Service"}
    return found


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m)", text).groups()
    return float(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def test_kubernetes_manifests(tmp_path):
    """They fit together, and the time they give is enough for the configuration in them."""
    found = manifests()
    (name, text), = found["ConfigMap"]["data"].items()
    path = tmp_path / name
    path.write_text(text)
    done = subprocess.run([BINARIES.reloader, "--check", str(path)], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done
    config = yaml.safe_load(text)
    pod = found["Deployment"]["spec"]["template"]
    (server,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels == found["Service"]["spec"]["selector"]
    assert found["Service"]["spec"]["ports"][0]["targetPort"] in {port["name"] for port in server["ports"]}
    assert config["sockets"]["web"]["listen"].endswith(f":{server['ports'][0]['containerPort']}")
    (http,) = [entry for entry in server["ports"] if config["gateway"]["listen"].endswith(f":{entry['containerPort']}")]
    probes = [server[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [probe["port"] for probe in probes] == [http["name"]] * 3
    assert {probe["path"].strip("/") for probe in probes} <= set(config["gateway"]["public"]) and "username" not in config["gateway"]
    program = config["programs"]["web"]
    wait = int(server["lifecycle"]["preStop"]["exec"]["command"][-1])
    needed = wait + seconds(program["disconnect_timeout"]) + seconds(program["stop_timeout"])
    assert needed < pod["spec"]["terminationGracePeriodSeconds"] <= needed + 10
    mounts = {mount["name"]: mount["mountPath"] for mount in server["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert server["args"][-1] == f"{mounts['configuration']}/{name}"
    assert {"name": "XDG_RUNTIME_DIR", "value": mounts["runtime"]} in server["env"]
    assert server["securityContext"]["readOnlyRootFilesystem"] and pod["spec"]["securityContext"]["runAsUser"] == USER


def probe(entry, port):
    """As a kubelet does it, which names the address of the pod: the status, or None where nobody listens."""
    with contextlib.suppress(ConnectionRefusedError):
        return ask(port, entry["httpGet"]["path"], seconds=entry["timeoutSeconds"])[0]
    return None


@pytest.mark.skipif(not alone.IS_BUILT, reason="built without the gateway")
@pytest.mark.limit(120)
def test_kubernetes_life(container, directory, port):
    """The same in a namespace: the ConfigMap as the kubelet mounts it, probes, a changed configuration, preStop and the end."""
    found = manifests()
    (server,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    etc = directory / "etc"
    etc.mkdir()

    def bring(number, text):
        """A new directory, and a link that is replaced at once: files are links into it."""
        (etc / f"..{number}").mkdir()
        (etc / f"..{number}" / "reloader.yaml").write_text(text)
        (etc / "..data_tmp").symlink_to(f"..{number}")
        (etc / "..data_tmp").rename(etc / "..data")

    (gateway,) = ports(1)
    text = found["ConfigMap"]["data"]["reloader.yaml"].replace("0.0.0.0:8080", f"127.0.0.1:{port}").replace("0.0.0.0:9999", f"127.0.0.1:{gateway}")
    assert str(port) in text and str(gateway) in text
    bring(1, text)
    (etc / "reloader.yaml").symlink_to("..data/reloader.yaml")
    environment = {entry["name"]: entry["value"] for entry in server["env"]}
    one = container(command=["reloader", *server["args"]], tmpfs=True, environment=environment)
    one.wait_line("reloader: ready")
    proc.wait_until(lambda: probe(server["startupProbe"], gateway) == 200, "the pod has started")
    assert probe(server["readinessProbe"], gateway) == probe(server["livenessProbe"], gateway) == 200
    with Load(directory, f"127.0.0.1:{port}", 500, 20):
        bring(2, text.replace("workers: auto", "workers: 3"))
        assert one.ctl("reload").returncode == 0
        assert len(proc.children(one.pid)) >= 3
        bring(3, text.replace("workers: auto", "wokers: 3"))
        assert one.ctl("reload").returncode == 1
        assert probe(server["readinessProbe"], gateway) == 200
    # A version that does not start: the old one serves, and there is no reason to kill the pod.
    bring(4, text.replace("/usr/local/bin/server", "/usr/bin/true"))
    assert one.ctl("reload").returncode == 1
    assert probe(server["livenessProbe"], gateway) == probe(server["readinessProbe"], gateway) == 200
    assert one.enter(*server["lifecycle"]["preStop"]["exec"]["command"][:1], "0").returncode == 0
    one.kill(signal.SIGTERM)
    one.wait_end(0)
