"""
stubborn.py - an echo server whose connections end when the client ends them, told to shut down or not.

usage: stubborn.py RECORD
Appends to RECORD as recorder.py does: start, message, signal, and "closed" when its last connection is.
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
loop.register(listener, selectors.EVENT_READ)
loop.register(channel, selectors.EVENT_READ)
write("start")
channel.sendall(b'"ready"\n')
while True:
    for key, _ in loop.select():
        if key.fileobj is listener:
            connection, _ = listener.accept()
            loop.register(connection, selectors.EVENT_READ)
        elif key.fileobj is channel:
            for line in channel.recv(65536).splitlines():
                write("message", json.loads(line))
                loop.unregister(listener)
        elif data := key.fileobj.recv(65536):
            key.fileobj.sendall(data)
        else:
            loop.unregister(key.fileobj)
            key.fileobj.close()
