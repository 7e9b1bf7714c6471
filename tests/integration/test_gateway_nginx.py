"""packaging/nginx/nginx.conf as it is, but for ports and paths: TLS in front of the gateway, and nothing lost on the way."""
import base64
import http.client
import json
import socket
import ssl
import subprocess

import pytest

from harness import TOP, gateway as alone, proc
from harness.changes import ports

NAME = "reloader.example.org"
EXAMPLE = (TOP / "packaging" / "nginx" / "nginx.conf").read_text()
CREDENTIALS = {"Authorization": "Basic " + base64.b64encode(b"admin:open sesame").decode()}
AROUND = """
daemon off;
user root;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/reloader.conf;
}}
"""

pytestmark = [pytest.mark.skipif(not alone.IS_BUILT, reason="built without the gateway"), pytest.mark.root]


class Front:
    def __init__(self, directory, port, gateway_port):
        self.port, self.certificate = port, directory / "certificate.pem"
        key = directory / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", key,
                        "-out", self.certificate, "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"], check=True, capture_output=True)
        text = EXAMPLE
        for old, new in (("127.0.0.1:9999;", f"127.0.0.1:{gateway_port};"), ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
                         ("    listen [::]:443 ssl;\n", ""), (f"/etc/ssl/certs/{NAME}.pem", str(self.certificate)), (f"/etc/ssl/private/{NAME}.key", str(key))):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (directory / "reloader.conf").write_text(text)
        (directory / "nginx.conf").write_text(AROUND.format(directory=directory))
        self.log = open(directory / "nginx-said.log", "ab")
        self.process = subprocess.Popen(["nginx", "-c", directory / "nginx.conf", "-p", directory], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        proc.wait_until(lambda: proc.tcp_listeners(port), "nginx listens")

    def connect(self):
        context = ssl.create_default_context(cafile=self.certificate)
        connection = http.client.HTTPSConnection(NAME, self.port, timeout=20, context=context)
        connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=20), server_hostname=NAME)
        return connection

    def request(self, method, path, headers=None, body=None):
        connection = self.connect()
        try:
            connection.request(method, path, headers=headers or {}, body=body)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


@pytest.fixture
def front(master, directory):
    ours, theirs = ports(2)
    one = master({"gateway": {"listen": f"127.0.0.1:{theirs}", "username": "admin", "password": "open sesame"},
                  "programs": {"idle": {"command": ["sleep", "infinity"], "start_seconds": "10ms"}}})
    one.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
    (directory / "front").mkdir()
    front = Front(directory / "front", ours, theirs)
    yield front
    front.stop()


def test_what_passes_it(front):
    assert front.request("GET", "/stats")[0] == 401
    status, headers, body = front.request("GET", "/stats", CREDENTIALS)
    assert status == 200 and json.loads(body)["result"]["workers"] and headers["Strict-Transport-Security"]
    assert b"reloader_up 1" in front.request("GET", "/metrics", CREDENTIALS)[2]
    assert front.request("POST", "/reload?wait=1", CREDENTIALS)[::2] == (200, b'{"result":"committed"}')


@pytest.mark.parametrize("site, origin, status", [(None, "https://{here}", 200), ("same-origin", "https://{here}", 200), (None, "https://evil.example", 403),
                                                  ("cross-site", "https://{here}", 403)])
def test_the_site_is_told(front, site, origin, status):
    """The gateway knows its own page by the name that the browser used."""
    headers = {**CREDENTIALS, "Host": f"{NAME}:{front.port}", "Origin": origin.format(here=f"{NAME}:{front.port}")}
    if site:
        headers["Sec-Fetch-Site"] = site
    assert front.request("POST", "/reload?wait=1", headers)[0] == status


def test_events_come_at_once(front):
    """Nothing is kept back in a buffer: the first event is read while the stream is open, and one that a reload brings."""
    connection = front.connect()
    connection.request("GET", "/events?type=reload", headers=CREDENTIALS)
    reply = connection.getresponse()
    assert (reply.status, reply.headers.get_content_type()) == (200, "text/event-stream")
    seen = b""
    while b"event: hello" not in seen:
        seen += reply.readline()
    assert front.request("POST", "/reload", CREDENTIALS)[0] == 200
    while b"committed" not in seen:
        line = reply.readline()
        assert line
        seen += line
    connection.close()


def test_what_is_too_large(front):
    assert front.request("POST", "/v1/reload", CREDENTIALS, body=b"x" * 65537)[0] == 413
