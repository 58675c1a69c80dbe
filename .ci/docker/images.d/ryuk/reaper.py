"""Removes what is left of a session once nobody is connected any more.

A client sends a line of filters, label=NAME=VALUE joined by &, and is answered ACK. When the last
client has been gone for RYUK_RECONNECTION_TIMEOUT seconds, containers and networks that carry all
labels of a line are removed, and the reaper ends. It ends too when nobody comes at first.
"""

import http.client
import json
import os
import re
import socket
import socketserver
import threading
import urllib.parse

SOCKET = "/var/run/docker.sock"


def seconds(name, default):
    """A duration as Go writes it, in minutes and seconds."""
    text = os.environ.get(name, default)
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    return sum(float(n) * units[u] for n, u in re.findall(r"([0-9.]+)(ms|h|m|s)", text))


class Daemon(http.client.HTTPConnection):
    """A connection to the daemon's socket."""

    def __init__(self):
        super().__init__("docker")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(SOCKET)


def ask(method, path, **query):
    """What the daemon answers, as JSON; None for an empty answer."""
    daemon = Daemon()
    try:
        daemon.request(method, path + "?" + urllib.parse.urlencode(query))
        answer = daemon.getresponse()
        body = answer.read()
        if answer.status >= 300:
            print(method, path, answer.status, body.decode(errors="replace").strip())
        return json.loads(body) if body and answer.status < 300 else None
    finally:
        daemon.close()


def reap(filters):
    """Removes what carries all labels of a line."""
    labels = [value for name, value in urllib.parse.parse_qsl(filters) if name == "label"]
    chosen = json.dumps({"label": labels})
    for found in ask("GET", "/containers/json", all="true", filters=chosen) or []:
        ask("DELETE", "/containers/" + found["Id"], force="true", v="true")
    for found in ask("GET", "/networks", filters=chosen) or []:
        ask("DELETE", "/networks/" + found["Id"])


class Sessions:
    """Who is connected, and what was asked for."""

    def __init__(self):
        self.changed = threading.Condition()
        self.filters, self.open, self.begun = set(), 0, False

    def watch(self):
        """Returns when nobody is connected any more."""
        patience = seconds("RYUK_CONNECTION_TIMEOUT", "1m")
        with self.changed:
            while True:
                self.changed.wait_for(lambda: self.open == 0 and self.begun, patience)
                patience = seconds("RYUK_RECONNECTION_TIMEOUT", "10s")
                if not self.changed.wait_for(lambda: self.open > 0, patience):
                    return


class Client(socketserver.StreamRequestHandler):
    """One client's connection."""

    def handle(self):
        sessions = self.server.sessions
        with sessions.changed:
            sessions.open, sessions.begun = sessions.open + 1, True
            sessions.changed.notify_all()
        try:
            for line in self.rfile:
                sessions.filters.add(line.decode().strip())
                self.wfile.write(b"ACK\n")
        except OSError:
            pass
        with sessions.changed:
            sessions.open -= 1
            sessions.changed.notify_all()


class Server(socketserver.ThreadingTCPServer):
    """The reaper's port."""

    daemon_threads, allow_reuse_address = True, True


def main():
    server = Server(("0.0.0.0", 8080), Client)
    server.sessions = Sessions()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("Started")
    server.sessions.watch()
    for filters in server.sessions.filters:
        reap(filters)


if __name__ == "__main__":
    main()
