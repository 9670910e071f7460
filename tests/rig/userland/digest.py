"""Runs on a node: a TCP server that answers all it is sent with its SHA-256."""

from __future__ import annotations

import hashlib
import socketserver

PORT = 9000


class Digest(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(hashlib.file_digest(self.rfile, "sha256").hexdigest().encode() + b"\n")


if __name__ == "__main__":
    with socketserver.ThreadingTCPServer(("", PORT), Digest) as server:
        print("listening", flush=True)
        server.serve_forever()
