"""An HTTP server that reloader can replace while it serves: the listening socket is fd 3, SIGTERM says finish."""
import http.server, os, signal, socket, threading

class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 5  # for a client that connects and says nothing

    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Worker", "slot={RELOADER_SLOT} generation={RELOADER_GENERATION}".format_map(os.environ))
        self.end_headers()
        self.wfile.write(b"hello\n")

server = http.server.ThreadingHTTPServer(None, Handler, bind_and_activate=False)
server.daemon_threads = False  # server_close() then waits for the requests at hand
server.socket = socket.socket(fileno=3)
server.socket.setblocking(False)  # another worker may have been quicker: accept() must not wait
# Waited for by a thread, as a handler would run in the middle of what the main thread does, be it starting a thread itself.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
threading.Thread(target=lambda: signal.sigwait({signal.SIGTERM}) and server.shutdown(), daemon=True).start()
server.serve_forever()
server.server_close()
