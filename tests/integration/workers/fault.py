"""
fault.py - a worker that misbehaves, in the ways given by its arguments, in their order. Then it waits to be told to end.

    exit=CODE            leaves
    die=SECONDS          leaves with 1 after that time
    old=SECONDS          leaves with 1 when it is so old, however long its interpreter took to start
    abort                dies of SIGABRT
    ready                says "ready" over its channel
    notify=TEXT          sends TEXT to its notify socket (\\n for a newline)
    odd-status           sends a status that is no UTF-8, longer than what is kept
    notify-flood=COUNT   sends COUNT datagrams of garbage to it
    notify-fds           sends READY=0 with ten open files
    forge=PROGRAM        sends READY=1 and STOPPING=1 to the notify socket of the other program's worker in slot 0
    line=TEXT            writes a line to the channel
    flood=BYTES          writes that much garbage in short lines to the channel
    messages=COUNT       writes that many proper messages to the channel
    long=BYTES           writes that much without a newline
    fds                  sends ten open files over the channel
    close                closes the channel
    fork                 leaves after forking a child that lives on in the group
    ignore-term          ignores SIGTERM
    join-group           joins the master's process group
    pause=SECONDS        waits
    stop                 stops itself (SIGSTOP)
    say=TEXT             writes a line to stderr
"""
import array
import os
import pathlib
import signal
import socket
import sys
import time


def channel():
    return socket.socket(fileno=os.dup(int(os.environ["RELOADER_CHANNEL_FD"])))


def open_files():
    return array.array("i", [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(10)])


def notify_address(text):
    return "\0" + text[1:] if text.startswith("@") else text


def notify(text, address=None, ancillary=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(notify_address(address or os.environ["NOTIFY_SOCKET"]))
        sender.sendmsg([text if isinstance(text, bytes) else text.encode()], ancillary)


def write_all(data):
    """Nobody is forced to read what we write; then we stop."""
    with channel() as output:
        output.settimeout(20)
        try:
            output.sendall(data)
        except OSError as error:
            print(f"fault: {error}", file=sys.stderr)


def find_notify_socket(program):
    """Of a worker of our master, in slot 0."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_bytes().rpartition(b") ")[2].split()[1])
            environment = dict(pair.partition(b"=")[::2] for pair in (entry / "environ").read_bytes().split(b"\0"))
        except OSError:
            continue
        if parent == os.getppid() and environment.get(b"RELOADER_PROGRAM", b"").decode() == program \
                and environment.get(b"RELOADER_SLOT") == b"0":
            return environment[b"NOTIFY_SOCKET"].decode()
    return None


def age():
    """Of this process, in seconds."""
    started = int(pathlib.Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def forge(program):
    """Any process of the same user can find another worker's notify socket; it must not be believed."""
    for _ in range(2000):
        if found := find_notify_socket(program):
            notify("READY=1\nSTATUS=forged\nSTOPPING=1", found)
            return
        time.sleep(0.01)
    sys.exit(f"fault.py: no {program} to forge")


def act(name, value):
    match name:
        case "exit":
            os._exit(int(value))
        case "die":
            time.sleep(float(value))
            os._exit(1)
        case "old":
            time.sleep(max(0, float(value) - age()))
            os._exit(1)
        case "abort":
            os.abort()
        case "ready":
            write_all(b'"ready"\n')
        case "notify":
            notify(value.replace("\\n", "\n"))
        case "odd-status":
            notify(b"STATUS=caf\xe9 " + b"\xe2\x82\xac" * 100)
        case "notify-flood":
            for number in range(int(value)):
                notify(b"\xff\0=%d" % number * 50)
        case "notify-fds":
            notify("READY=0", ancillary=[(socket.SOL_SOCKET, socket.SCM_RIGHTS, open_files())])
        case "forge":
            forge(value)
        case "line":
            write_all(value.encode() + b"\n")
        case "flood":
            write_all(b"}garbage{\xff\n" * (int(value) // 11))
        case "messages":
            write_all(b'{"hello":[1,2,3]}\n' * int(value))
        case "long":
            write_all(b"x" * int(value))
        case "fds":
            with channel() as output:
                output.sendmsg([b'"ready"\n'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, open_files())])
        case "close":
            os.close(int(os.environ["RELOADER_CHANNEL_FD"]))
        case "fork":
            if os.fork():
                os._exit(0)
        case "ignore-term":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "join-group":
            os.setpgid(0, os.getpgid(os.getppid()))
        case "pause":
            time.sleep(float(value))
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "say":
            print(value, file=sys.stderr, flush=True)
        case _:
            sys.exit(f"fault.py: unknown fault {name}")


for argument in sys.argv[1:]:
    act(*argument.partition("=")[::2])
while True:
    signal.pause()
