"""A service that answers what it is asked about itself, and asks the archive."""

import os
import signal
import socket
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def ask():
    try:
        return urllib.request.urlopen(os.environ["ARCHIVE_URL"] + "/", timeout=10).read()
    except OSError as error:
        return f"the archive cannot be asked: {error}".encode()


def outside():
    """Tries to reach somebody whose address nobody told it."""
    for address in (("192.0.2.1", 80), ("127.0.0.1", int(os.environ["HOST_PORT"]))):
        try:
            socket.create_connection(address, timeout=2).close()
            return f"reached {address}".encode()
        except OSError:
            pass
    return b"nobody is there"


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"/ask": ask, "/outside": outside}.get(self.path, lambda: b"well")()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("begins", os.environ["REPLICA"])
if os.environ.get("DIES"):
    print("there is no licence", file=sys.stderr)
    sys.exit(3)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()
