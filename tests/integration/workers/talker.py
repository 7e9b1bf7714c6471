"""
talker.py - a worker that answers each message of an operator with {"cmd":"echo","got":MESSAGE,"generation":…}, says "ready", and
leaves when it is told to. It is what a Python application is without a library: lines of JSON on a socket.

    --storm=COUNT    says {"cmd":"storm","n":0…COUNT-1} when it is sent {"cmd":"storm"}
    --own-status     says {"cmd":"status"} before it is ready: its own word, which is not ours
"""
import json
import os
import socket
import sys

options = dict(option.partition("=")[::2] for option in sys.argv[1:])
channel = socket.socket(fileno=int(os.environ["RELOADER_CHANNEL_FD"]))
generation = int(os.environ["RELOADER_GENERATION"])


def say(value):
    channel.sendall(json.dumps(value).encode() + b"\n")


if "--own-status" in options:
    say({"cmd": "status"})
say("ready")
for line in channel.makefile("r", encoding="utf-8"):
    message = json.loads(line)
    if message == "graceful_shutdown":
        say("fully_closed")
    elif message == {"cmd": "storm"}:
        for n in range(int(options["--storm"])):
            say({"cmd": "storm", "n": n})
    else:
        say({"cmd": "echo", "got": message, "generation": generation})
