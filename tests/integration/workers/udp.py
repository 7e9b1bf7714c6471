"""
udp.py - answers each datagram with a line that says who it is, and the datagram.

usage: udp.py [ADDRESS:PORT]
Under reloader it takes its socket from LISTEN_FDS. Told graceful_shutdown it reads no more (what waits is for its
successor), says fully_closed and waits for its stop signal. Alone it binds ADDRESS:PORT.
"""
import os
import select
import socket
import sys

WHO = "slot=%s generation=%s pid=%d\n" % (
    os.environ.get("RELOADER_SLOT", "-"), os.environ.get("RELOADER_GENERATION", "-"), os.getpid())
SO_RCVBUFFORCE = 33


def open_socket():
    if "LISTEN_FDS" in os.environ:
        return socket.socket(fileno=3)
    host, _, port = sys.argv[1].rpartition(":")
    new = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # All that comes has room while this process waits for its turn.
    new.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE if os.geteuid() == 0 else socket.SO_RCVBUF, 4 << 20)
    new.bind((host, int(port)))
    return new


def answer(listener, who):
    """A few at a time, so that the channel is heard; another worker may have taken what was there."""
    try:
        for _ in range(64):
            data, peer = listener.recvfrom(65536, socket.MSG_DONTWAIT)
            listener.sendto(who + data, peer)
    except BlockingIOError:
        pass


def main():
    listener = open_socket()
    who = WHO.encode()
    number = os.environ.get("RELOADER_CHANNEL_FD")
    channel = socket.socket(fileno=int(number)) if number else None
    if channel:
        channel.sendall(b'"ready"\n')
    waiting = [listener] + ([channel] if channel else [])
    while waiting:
        ready, _, _ = select.select(waiting, [], [])
        if channel in ready:
            lines = channel.recv(65536)
            if not lines:
                return
            if b'"graceful_shutdown"' in lines:
                waiting.remove(listener)
                channel.sendall(b'"fully_closed"\n')
        elif listener in ready:
            answer(listener, who)


main()
