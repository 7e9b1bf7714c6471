"""examples/nginx-tls: the files as they are there, but for their addresses, in front of a gateway."""
import shutil
import socket
import ssl
import subprocess

import pytest
import yaml

from harness import TOP, configs, proc
from harness.hostile import basic

EXAMPLE = TOP / "examples" / "nginx-tls"
NAME = "ops.example.com"
RIGHT = basic("admin", "open sesame")["Authorization"]
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")

# What Debian's nginx.conf is around a file of conf.d/, for whoever calls, in a directory of its own.
AROUND = """
daemon off;
pid {here}/nginx.pid;
error_log {here}/nginx-error.log;
worker_processes 1;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
    include {here}/reloader.conf;
}}
"""


def certificate(here):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
                    "-keyout", here / "key.pem", "-out", here / "certificate.pem"], check=True, capture_output=True, timeout=60)


def replaced(text, pairs):
    for before, after in pairs.items():
        assert before in text, f"the example has no {before!r} any more"
        text = text.replace(before, str(after))
    return text


@pytest.fixture
def served(master, directory, port):
    """A master with the example's section, and nginx with its file; yields the master with .tls, nginx's port."""
    if not NGINX or not shutil.which("openssl"):
        pytest.skip("nginx or openssl is not installed")
    directory.chmod(0o777)  # nginx's workers are somebody else
    (directory / "password").write_text("open sesame\n")
    gateway = replaced((EXAMPLE / "reloader.yaml").read_text(),
                       {"/run/reloader/http.sock": directory / "http.sock", "/etc/reloader/password": directory / "password"})
    one = master({**configs.recorders(directory / "record"), **yaml.safe_load(gateway)})
    one.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
    certificate(directory)
    (directory / "reloader.conf").write_text(replaced((EXAMPLE / "reloader.conf").read_text(), {
        "listen 443 ": f"listen 127.0.0.1:{port} ", "/run/reloader/http.sock": directory / "http.sock",
        "/etc/ssl/certs/ops.example.com.pem": directory / "certificate.pem", "/etc/ssl/private/ops.example.com.key": directory / "key.pem"}))
    (directory / "nginx.conf").write_text(AROUND.format(here=directory))
    nginx = subprocess.Popen([NGINX, "-p", directory, "-c", directory / "nginx.conf", "-e", directory / "nginx-error.log"], stdin=subprocess.DEVNULL)
    try:
        proc.wait_until(lambda: nginx.poll() is not None or proc.tcp_listeners(port), "nginx listens")
        assert nginx.poll() is None, (directory / "nginx-error.log").read_text()
        one.tls, one.certificate = port, directory / "certificate.pem"
        yield one
    finally:
        if nginx.poll() is None:
            nginx.terminate()
        nginx.wait(20)


def connect(one):
    """A client that trusts nobody but this certificate."""
    context = ssl.create_default_context(cafile=one.certificate)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", one.tls), 20), server_hostname=NAME)


def ask(one, line, **headers):
    """(status, body)"""
    fields = {"Host": f"{NAME}:{one.tls}", "Connection": "close", **headers}
    with connect(one) as client:
        client.sendall("".join([line, " HTTP/1.1\r\n", *(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()), "\r\n"]).encode())
        reply = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = reply.partition(b"\r\n\r\n")
    return int(head[9:12]), body.decode()


def read_until(client, text):
    data = b""
    while text not in data:
        chunk = client.recv(65536)
        assert chunk, f"the stream has ended: {data}"
        data += chunk
    return data


def test_through_nginx(served):
    one = served
    assert ask(one, "GET /healthz")[0] == 401
    assert ask(one, "GET /healthz", Authorization=RIGHT)[0] == 200
    status, body = ask(one, "GET /stats", Authorization=RIGHT)
    assert status == 200 and str(one.pid) in body
    # Its own page may act, others may not: Host has come through with its port.
    origin = f"https://{NAME}:{one.tls}"
    assert ask(one, "POST /reload?wait=1", Authorization=RIGHT, Origin=origin, Content_Length=0)[0] == 200
    assert ask(one, "POST /reload?wait=1", Authorization=RIGHT, Origin=f"https://{NAME}", Content_Length=0)[0] == 403
    assert ask(one, "POST /reload?wait=1", Authorization=RIGHT, Origin=origin, Sec_Fetch_Site="cross-site", Content_Length=0)[0] == 403
    assert one.generation("rec") == 2


def test_events_through_nginx(served):
    """They come when they happen, and not when a buffer is full."""
    one = served
    with connect(one) as client:
        client.sendall(f"GET /events HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: {RIGHT}\r\n\r\n".encode())
        assert b"text/event-stream" in read_until(client, b"event: hello")
        one.expect_reload("committed")
        read_until(client, b"event: reload")
