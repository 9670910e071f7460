"""An exporter at work: messages come in from the broker, metrics go out over HTTP when somebody asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.registry import Collector

from terrible.errors import HostError
from terrible.exporter.families import families
from terrible.exporter.tree import LISTENED, Tree
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.topics import Topics
from terrible.remote.line import Line

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listen:
    """Where metrics are served."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class Exporter(Collector):
    """One cluster of a broker, or all of them. Both broker and agents may go and come back.

    The library serves each scrape in a thread of its own, hence the lock.
    """

    def __init__(self, address: BrokerAddress, cluster: str | None) -> None:
        self._tree = Tree()
        if cluster is not None:
            self._tree.expect(cluster)
        self._lock = threading.Lock()
        filters = [Topics(cluster or "+").every(kind) for kind in LISTENED]
        self._line = Line(address, "exporter", filters, self._take, self._cut)

    async def run(self) -> None:
        """Keep connected to the broker until cancelled."""
        await self._line.run()

    def collect(self) -> list[Metric]:
        """Every metric, as it is now."""
        with self._lock:
            return list(families(self._tree, self._line.connected))

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        with self._lock:
            self._tree.take(topic, payload)

    def _cut(self) -> None:
        with self._lock:
            self._tree.cut()


@contextmanager
def served(exporter: Exporter, listen: Listen) -> Iterator[None]:
    """Serve its metrics for the length of the block; HostError where nobody can listen there."""
    registry = CollectorRegistry()
    registry.register(exporter)
    try:
        server, thread = start_http_server(listen.port, listen.host, registry)
    except OSError as error:
        why = f"{error.strerror}; is an exporter running already? Choose another place with --listen"
        raise HostError(f"cannot listen at {listen}: {why}") from None
    log.info("metrics at http://%s/metrics", listen)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
