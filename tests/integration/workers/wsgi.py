"""wsgi.py - the least that gunicorn serves; each reply names the generation that gave it."""
import os


def app(_environ, start_response):
    body = b"hello\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))),
                              ("X-Generation", os.environ["RELOADER_GENERATION"])])
    return [body]
