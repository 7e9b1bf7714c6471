"""The sockets of a real host: UDP, options, owners, and what workers do to a socket that they share."""
import ctypes
import grp
import json
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import threading

import pytest

from harness import BINARIES, Load, configs, proc
from harness.master import Master
from harness.paths import PYTHON, WORKERS

PIDFD_GETFD = 438  # the same on all machines; python has no function for it
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
UDP = [PYTHON, "-S", str(WORKERS / "udp.py")]


def udp(listen, **program):
    return {"sockets": {"dns": {"listen": str(listen)}},
            "programs": {"dns": {"command": UDP, "sockets": ["dns"], "workers": 2, "ready": "message", **program}}}


def ask(address, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(b"hello", address)
        return client.recvfrom(1000)[0].decode()


def ss(*arguments):
    return subprocess.run(["ss", "-H", "-n", *arguments], capture_output=True, text=True, check=True).stdout


class Patient:
    """A client that never sends twice: one datagram that is not answered ends it."""

    def __init__(self, address):
        self.address, self.answered, self.failure, self.leaving = address, 0, None, False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.connect(self.address)
            while not self.leaving and not self.failure:
                word = b"number %d" % self.answered
                client.send(word)
                try:
                    answer = client.recv(1000)
                except OSError as error:
                    self.failure = f"{word}: {error}"
                    return
                self.failure = None if answer.endswith(b"\n" + word) else f"{word}: {answer}"
                self.answered += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.leaving = True
        self.thread.join()
        if self.failure:
            raise AssertionError(self.failure)


# --- UDP

@pytest.mark.limit(120)
def test_udp_under_load(master, directory, port):
    """
    Datagrams that nobody has read yet wait in the socket for whoever comes next: none is lost over five reloads, of those that
    come at a constant rate, but for a break where the socket would overflow, and of a client that asks again only when it was
    answered.
    """
    one = master(udp(f"udp:127.0.0.1:{port}"))
    (worker, _) = one.pids()
    inode = proc.socket_inode(worker, 3)
    with Patient(("127.0.0.1", port)) as patient, Load(directory, f"127.0.0.1:{port}", 0, 0, udp_rate=1000, arguments=Load.PATIENT) as load:
        for _ in range(5):
            one.hup()
        load.flow(0.2)
    assert patient.answered > 100 and not patient.failure
    (listener,) = one.status()["listeners"]
    assert listener["inode"] == inode and listener["address"] == f"udp:127.0.0.1:{port}"
    assert any("generation=6 " in server for server in load.servers())


@pytest.mark.parametrize("form,family,address", [("udp:{}", socket.AF_INET, "127.0.0.1"), ("udp:[::1]:{}", socket.AF_INET6, "::1")])
def test_udp_forms(master, port, form, family, address):
    one = master(udp(form.format(port), workers=1))
    one.wait_ready()
    assert ask((address, port), family).endswith("\nhello")


def test_udp_and_tcp_of_one_port(master, port):
    config = udp(f"udp:127.0.0.1:{port}", workers=1)
    config["sockets"]["web"] = {"listen": f"127.0.0.1:{port}"}
    config["programs"]["web"] = configs.echo(1)["programs"]["echo"] | {"sockets": ["web"], "workers": 1}
    one = master(config)
    one.wait_ready()
    assert ask(("127.0.0.1", port)).endswith("\nhello")
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_udp_port_taken(master, directory, port):
    """A second master does not quietly take half of the datagrams."""
    one = master(udp(f"udp:127.0.0.1:{port}", workers=1))
    one.wait_ready()
    other = master(udp(f"udp:127.0.0.1:{port}", workers=1), name="other", ready=False)
    other.wait_end(1)
    assert re.search(rf"udp:127\.0\.0\.1:{port}: address in use by reloader \(pid {one.pid}\)", other.log.text())


@pytest.mark.key("programs.NAME.listen")
def test_udp_environment(master, directory, port):
    """Server::Starter's variable does not tell UDP from TCP; its key is the address."""
    record = directory / "record"
    config = configs.recorders(record, "--ready", workers=1)
    config["programs"]["rec"]["listen"] = [f"udp:127.0.0.1:{port}", f"udp:{port + 1}"]
    master(config).wait_ready()
    text = record.read_text()
    assert f'"SERVER_STARTER_PORT": "127.0.0.1:{port}=3;{port + 1}=4"' in text and '"LISTEN_FDS": "2"' in text


# --- options

@pytest.mark.key("sockets.NAME.options.nodelay", "sockets.NAME.options.keepalive", "sockets.NAME.options.defer_accept",
                 "sockets.NAME.options.fastopen", "sockets.NAME.options.receive_buffer", "sockets.NAME.options.send_buffer")
def test_tcp_options(master, port):
    """On the listening socket as the kernel tells; connections inherit what is meant for them."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["sockets"]["echo"]["options"] = {"nodelay": True, "keepalive": True, "defer_accept": "3s", "fastopen": 17,
                                            "receive_buffer": "128K", "send_buffer": "64K"}
    one = master(config)
    one.wait_ready()
    (worker,) = one.pids()
    with socket.socket(fileno=steal(worker, 3)) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) >= 3
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN) == 17
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 128 * 1024
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 64 * 1024
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
        # While the client's kernel has not confirmed the answer, the timer is that of sending it again.
        proc.wait_until(lambda: "timer:(keepalive" in ss("-tno", "state", "established", f"( sport = :{port} )"), "its timer is that of keepalive")
        inode = int(re.search(r"ino:(\d+)", ss("-tne", "state", "established", f"( sport = :{port} )"))[1])
        (number,) = [fd for fd, what in proc.fds(worker).items() if what == f"socket:[{inode}]"]
        with socket.socket(fileno=steal(worker, number)) as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 128 * 1024
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 64 * 1024


def steal(pid, fd):
    """A duplicate of another process's descriptor."""
    pidfd = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        got = libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
        assert got >= 0, os.strerror(ctypes.get_errno())
        return got
    finally:
        os.close(pidfd)


@pytest.mark.key("sockets.NAME.options.device", "sockets.NAME.options.mark", "sockets.NAME.options.freebind",
                 "sockets.NAME.options.transparent")
@pytest.mark.root
def test_device_mark_and_freebind(master, port):
    config = configs.echo(f"192.0.2.1:{port}", workers=1)
    config["sockets"]["echo"]["options"] = {"device": "lo", "mark": 42, "freebind": True, "transparent": True}
    one = master(config)
    one.wait_ready()
    (worker,) = one.pids()
    with socket.socket(fileno=steal(worker, 3)) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == 42
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"
        assert listener.getsockopt(socket.IPPROTO_IP, 15) == 1 and listener.getsockopt(socket.IPPROTO_IP, 19) == 1


@pytest.mark.parametrize("listen,settings,message", [
    ("unix:{directory}/s", {"options": {"nodelay": True}}, r"sockets\.s\.options\.nodelay: only a TCP socket"),
    ("udp:{port}", {"options": {"nodelay": True}}, r"sockets\.s\.options\.nodelay: only a TCP socket"),
    ("unix:@x", {"options": {"send_buffer": "64K"}}, r"sockets\.s\.options\.send_buffer: only an internet socket"),
    ("unix:@x", {"options": {"mark": 1}}, r"sockets\.s\.options\.mark: only an internet socket"),
    ("udp:{port}", {"options": {"defer_accept": "1s"}}, r"sockets\.s\.options\.defer_accept: only a TCP socket"),
    ("udp:{port}", {"backlog": 5}, r"sockets\.s\.backlog: only .*receive_buffer"),
    ("{port}", {"owner": "root"}, r"sockets\.s\.owner: only a Unix socket"),
    ("unix:@x", {"group": "root"}, r"sockets\.s\.group: only a Unix socket"),
    ("{port}", {"options": {"device": "a/b"}}, r"sockets\.s\.options\.device: .*network interface"),
    ("{port}", {"options": {"receive_buffer": "1"}}, r"sockets\.s\.options\.receive_buffer: .*a size from 4K to 1023M"),
    ("{port}", {"options": {"nodely": True}}, r"sockets\.s\.options\.nodely: .*did you mean 'nodelay'"),
    ("unix:{directory}/s", {"owner": "nobody-of-that-name"}, r"sockets\.s\.owner: .*the name or number of a user"),
])
def test_wrong_settings(directory, port, listen, settings, message):
    config = {"sockets": {"s": {"listen": listen.format(directory=directory, port=port), **settings}},
              "programs": {"p": {"command": "true", "sockets": ["s"]}}}
    path = directory / "check.yaml"
    path.write_text(json.dumps(config, indent=1))
    done = subprocess.run([BINARIES.reloader, "-t", path], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 3 and (found := re.search(r"check\.yaml:(\d+):\d+: " + message, done.stderr)), done.stderr
    key = message.partition(":")[0].rpartition(".")[2]
    assert f'"{key}":' in path.read_text().splitlines()[int(found[1]) - 1]


@pytest.mark.parametrize("options,message", [
    ({"device": "nosuch0"}, r"sockets\.echo\.options\.device cannot be set: No such device: there is no such network interface"),
])
def test_options_that_cannot_be_set(master, port, options, message):
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["sockets"]["echo"]["options"] = options
    one = master(config, ready=False)
    one.wait_end(1)
    assert re.search(message, one.log.text())


@pytest.mark.root
@pytest.mark.parametrize("listen,settings,message", [
    ("127.0.0.1:{port}", {"options": {"mark": 1}},
     r"sockets\.echo\.options\.mark cannot be set: .*: it needs root or CAP_NET_ADMIN"),
    ("127.0.0.1:{port}", {"options": {"transparent": True}},
     r"sockets\.echo\.options\.transparent cannot be set: .*: it needs root or CAP_NET_ADMIN"),
    ("unix:{directory}/s", {"owner": "root"}, r"unix:.*/s: cannot be given to its owner and group: .*only root may give it away"),
])
def test_without_rights(directory, port, listen, settings, message):
    os.chown(directory, 65534, 65534)
    config = configs.echo(listen.format(port=port, directory=directory), workers=1)
    config["sockets"]["echo"] |= settings
    one = Master(directory, config, wrapper=NOBODY)
    one.wait_end(1)
    assert re.search(message, one.log.text())
    assert not (directory / "s").exists()


@pytest.mark.root
def test_large_buffer_without_rights(directory, port):
    """The system gives what it allows, and it is said: no reason not to serve."""
    os.chown(directory, 65534, 65534)
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["sockets"]["echo"]["options"] = {"receive_buffer": "1023M"}
    one = Master(directory, config, wrapper=NOBODY)
    one.wait_ready()
    assert re.search(r"warning sockets\.echo\.options\.receive_buffer: the system gives \d+ bytes instead of 1072693248: "
                     r"raise net\.core\.rmem_max", one.log.text())
    one.stop()


# --- Unix sockets

@pytest.mark.key("control.owner", "control.group", "sockets.NAME.owner", "sockets.NAME.group", "sockets.NAME.mode")
@pytest.mark.root
def test_owner_and_group(master, directory):
    config = configs.echo(f"unix:{directory}/s", workers=1)
    config["sockets"]["echo"] |= {"owner": "nobody", "group": "daemon", "mode": "0620"}
    config["control"] = {"owner": "daemon", "group": "nogroup"}
    one = master(config)
    one.wait_ready()
    found = os.stat(directory / "s")
    assert (found.st_uid, found.st_gid) == (pwd.getpwnam("nobody").pw_uid, grp.getgrnam("daemon").gr_gid)
    assert stat.S_IMODE(found.st_mode) == 0o620
    found = os.stat(one.socket)
    assert (found.st_uid, found.st_gid) == (pwd.getpwnam("daemon").pw_uid, grp.getgrnam("nogroup").gr_gid)


def test_somebody_elses_file_stays(master, directory):
    """Another server has replaced the file meanwhile: it is his, and stays."""
    path = directory / "s"
    one = master(configs.echo(f"unix:{path}", workers=1))
    one.wait_ready()
    with socket.socket(socket.AF_UNIX) as other:
        path.unlink()
        other.bind(str(path))
        other.listen()
        inode = path.stat().st_ino
        one.stop()
        assert path.stat().st_ino == inode


# --- what workers do to it

RUDE = """
import os, socket, sys
listener = socket.socket(fileno=3)
listener.listen(5)
channel = socket.socket(fileno=int(os.environ["RELOADER_CHANNEL_FD"]))
channel.sendall(b'"ready"\\n')
channel.recv(100)
listener.shutdown(socket.SHUT_RDWR)
sys.exit(0)
"""


@pytest.mark.sanitized
def test_shut_down_by_a_worker(master, port):
    """It stops listening for all who share the socket; the master listens again, with its own backlog, and says who it was."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1, command=[PYTHON, "-S", "-c", RUDE], ready="message")
    config["sockets"]["echo"] |= {"backlog": 37, "options": {"nodelay": True, "defer_accept": "3s"}}
    one = master(config)
    one.hup()
    one.wait_line(r"echo/0: it shut down socket 'echo' for all who share it")
    one.wait_drained()
    (worker,) = one.pids()
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    assert ss("-ltn", f"( sport = :{port} )").split()[2] == "37"
    with socket.socket(fileno=steal(worker, 3)) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) >= 3
    one.stop(signal.SIGQUIT)


@pytest.mark.key("sockets.NAME.backlog")
def test_small_backlog(master, port):
    """A worker's listen(5) shrinks the queue of all; the master puts it right once the worker is ready."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1, command=[PYTHON, "-S", "-c", RUDE], ready="message")
    config["sockets"]["echo"]["backlog"] = 37
    one = master(config)
    proc.wait_until(lambda: ss("-ltn", f"( sport = :{port} )").split()[2] == "37", "the master's backlog again")
    assert "shut down" not in one.log.text()
    one.stop(signal.SIGQUIT)


@pytest.mark.parametrize("listen,again", [("127.0.0.1:{port}", True), ("unix:{directory}/s", False)])
def test_shut_down_by_one_who_stays(master, directory, port, listen, again):
    """Clients are not refused for as long as such a worker drains. A Unix socket cannot be saved; at least it is said, once."""
    listen = listen.format(port=port, directory=directory)
    config = configs.echo(listen, workers=1, command=[PYTHON, "-S", "-c", RUDE.replace("sys.exit(0)", "channel.recv(100)")],
                          ready="message", disconnect_timeout="50s")
    one = master(config)
    (old,) = one.pids()
    one.hup()
    one.wait_line(r"echo/0: it shut down socket 'echo' for all who share it")
    assert proc.is_running(old)
    if again:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    else:
        assert "a Unix socket cannot listen again" in one.log.text()
    one.stop(signal.SIGQUIT)
    assert one.log.text().count("shut down socket") == 1


MODE = """
import os, socket
socket.socket(fileno=3).setblocking(False)
channel = socket.socket(fileno=int(os.environ["RELOADER_CHANNEL_FD"]))
channel.sendall(b'"ready"\\n')
channel.recv(100)
"""


@pytest.mark.parametrize("nonblocking,times", [("false", 1), ("true", 0), ("auto", 0)])
def test_nonblocking_for_all(master, port, nonblocking, times):
    """What a worker does against the configuration is said, once."""
    config = configs.echo(f"127.0.0.1:{port}", workers=2, command=[PYTHON, "-S", "-c", MODE], ready="message")
    config["sockets"]["echo"]["nonblocking"] = nonblocking
    one = master(config)
    one.hup()
    said = re.findall(r"echo/\d: it set O_NONBLOCK of socket 'echo' for all", one.log.text())
    assert len(said) == times
    one.stop()


def test_udp_per_slot(master, port):
    """A socket for each slot, by %(process_num)s; what one answers is not what the other does."""
    config = {"programs": {"dns": {"command": UDP, "workers": 2, "ready": "message", "numprocs_start": port,
                                   "listen": "udp:127.0.0.1:%(process_num)s"}}}
    one = master(config)
    one.hup()
    assert [ask(("127.0.0.1", port + slot)).split()[0] for slot in (0, 1)] == ["slot=0", "slot=1"]
