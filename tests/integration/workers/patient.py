"""
patient.py - a worker of the standard library alone whose health a test decides, by files in DIRECTORY.

usage: patient.py DIRECTORY ADDRESS      ADDRESS: a port of 127.0.0.1, a path for a Unix socket, fd:N, or none
It says READY=1, then WATCHDOG=1 often, and answers HTTP requests one after the other, as
    DIRECTORY/answer.SLOT, else DIRECTORY/answer   says: a status, hang, cut, endless, a status and a location, turns and a status for
                                                   each request in turn; else 200
    DIRECTORY/watchdog.SLOT, else watchdog         says: silent, or ping
    DIRECTORY/unready                              is there: READY=1 is not said
SIGUSR1 makes it say what DIRECTORY/say holds. Each request is a line of DIRECTORY/requests: slot, pid, path, user agent.
"""
import itertools
import os
import pathlib
import signal
import socket
import sys
import threading
import time

HERE = pathlib.Path(sys.argv[1])
SLOT = os.environ["RELOADER_SLOT"]
TURNS = itertools.count()


def asked(name):
    for path in (HERE / f"{name}.{SLOT}", HERE / name):
        try:
            return path.read_text().split()
        except OSError:
            pass
    return []


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        sender.send(text.encode())


def listen(address):
    if address.startswith("fd:"):
        return socket.socket(fileno=int(address[3:]))
    unix = address.startswith("/")
    one = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if unix and os.path.exists(address):
        os.unlink(address)
    one.bind(address if unix else ("127.0.0.1", int(address)))
    one.listen(16)
    return one


def answer(connection):
    request = b""
    while b"\r\n\r\n" not in request:
        chunk = connection.recv(4096)
        if not chunk:
            return
        request += chunk
    agent = [line for line in request.decode().split("\r\n") if line.lower().startswith("user-agent:")]
    with open(HERE / "requests", "a") as log:
        log.write(f"{SLOT} {os.getpid()} {request.split()[1].decode()} {agent}\n")
    words = asked("answer") or ["200"]
    if words[0] == "turns":
        words = [words[1 + next(TURNS) % (len(words) - 1)]]
    if words[0] == "hang":
        connection.recv(1)
    elif words[0] == "endless":
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)
    elif words[0] != "cut":
        location = f"Location: {words[1]}\r\n" if len(words) > 1 else ""
        connection.sendall(f"HTTP/1.1 {words[0]} X\r\n{location}Content-Length: 2\r\nConnection: close\r\n\r\nok".encode())


def serve(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                answer(connection)
            except OSError:
                pass


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGUSR1, lambda *_: notify((HERE / "say").read_text().strip()))
    listener = listen(sys.argv[2]) if sys.argv[2] != "none" else None
    # Before it answers: on a shared socket it may get what its predecessor was asked, who would be well again then.
    if not (HERE / "unready").exists():
        notify("READY=1")
    if listener:
        threading.Thread(target=serve, args=[listener], daemon=True).start()
    while True:
        if asked("watchdog") != ["silent"]:
            notify("WATCHDOG=1")
        time.sleep(0.05)


main()
