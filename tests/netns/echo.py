"""A server that says who it thinks you are, which is how address translation shows, and its client."""

from __future__ import annotations

import sys

from .process import Process, until
from .space import Space

_SERVER = """
import socketserver, sys, threading
class Who:
    def handle(self):
        self.rfile.readline()
        self.wfile.write(f"{sys.argv[1]} hears {self.client_address[0]}\\n".encode())
class Stream(Who, socketserver.StreamRequestHandler): pass
class Datagram(Who, socketserver.DatagramRequestHandler): pass
class Streams(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
where = (sys.argv[2], int(sys.argv[3]))
streams, datagrams = Streams(where, Stream), socketserver.UDPServer(where, Datagram)
threading.Thread(target=datagrams.serve_forever, daemon=True).start()
streams.serve_forever()
"""
_CLIENT = 'exec 3<>"/dev/$0/$1/$2" && echo >&3 && head -n 1 <&3'
"""bash makes connections by itself; its `read` takes a byte at a time, which loses the rest of a datagram."""


def serve(space: Space, name: str, address: str, port: int) -> Process:
    """Answer on TCP and UDP; returns once both are open."""
    process = space.spawn(sys.executable, "-I", "-S", "-c", _SERVER, name, address, str(port))
    until(lambda: ask(space, "tcp", address, port), why=f"{name} answers on port {port}")
    return process


def ask(space: Space, kind: str, address: str, port: int, limit: float = 2) -> str:
    """What the server there says, as `name hears address`; empty if nobody answers in time."""
    return space.attempt("bash", "-c", _CLIENT, kind, address, str(port), limit=limit)[1].strip()
