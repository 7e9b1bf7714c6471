"""Where things are."""
import os
import pathlib
import types

TOP = pathlib.Path(__file__).resolve().parents[3]
BUILD = TOP / os.environ.get("RELOADER_BUILD", "build")
WORKERS = TOP / "tests" / "integration" / "workers"
NSS = BUILD / "tests" / "nss"
PYTHON = "/usr/bin/python3"

BINARIES = types.SimpleNamespace(
    reloader=str(BUILD / "src" / "reloader" / "reloader"),
    reloaderctl=str(BUILD / "src" / "reloaderctl" / "reloaderctl"),
    tcp_echo=str(BUILD / "examples" / "tcp-echo" / "tcp-echo"),
    loadgen=str(BUILD / "bench" / "loadgen"),
)
