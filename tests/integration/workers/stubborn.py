"""
stubborn.py - an echo server whose connections end when the client ends them, told to shut down or not.

usage: stubborn.py RECORD
Appends to RECORD as recorder.py does: start, message, signal, and "sent" with fully_closed.
"""
import json
import os
import selectors
import signal
import socket
import sys

record = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def write(event, what=None):
    entry = {"event": event, "what": what, "pid": os.getpid(), "generation": int(os.environ["RELOADER_GENERATION"])}
    os.write(record, json.dumps(entry).encode() + b"\n")


def on_term(*_):
    write("signal", "SIGTERM")
    os._exit(0)


signal.signal(signal.SIGTERM, on_term)
loop = selectors.DefaultSelector()
listener = socket.socket(fileno=3)
channel = socket.socket(fileno=int(os.environ["RELOADER_CHANNEL_FD"]))
connections = set()
told = False
loop.register(listener, selectors.EVENT_READ)
loop.register(channel, selectors.EVENT_READ)
write("start")
channel.sendall(b'"ready"\n')


def accept():
    connection, _ = listener.accept()
    connections.add(connection)
    loop.register(connection, selectors.EVENT_READ)


def serve(connection):
    data = connection.recv(65536)
    if data:
        connection.sendall(data)
        return
    loop.unregister(connection)
    connections.remove(connection)
    connection.close()


def hear():
    global told
    for line in channel.recv(65536).splitlines():
        write("message", json.loads(line))
        loop.unregister(listener)
        told = True


while True:
    for key, _ in loop.select():
        if key.fileobj is listener:
            accept()
        elif key.fileobj is channel:
            hear()
        else:
            serve(key.fileobj)
    if told and not connections:
        write("sent", "fully_closed")
        channel.sendall(b'"fully_closed"\n')
        signal.pause()
