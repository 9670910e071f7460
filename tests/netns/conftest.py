"""Laboratories: one for each test that changes the head, and one for all others together."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import lab as laboratory
from . import program
from .lab import Lab
from .program import Program

TOOLS = (
    "unshare", "nsenter", "timeout", "bash", "busybox",
    "ip", "nft", "iptables", "dnsmasq", "dhclient", "ping", "dig",
)  # fmt: skip
BRIDGE_FILTER = Path("/proc/sys/net/bridge")


def _missing() -> str:
    """Why there can be no laboratory here; empty if there can."""
    if sys.platform != "linux" or os.geteuid():
        return "it needs Linux and root"
    if absent := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"not installed: {', '.join(absent)}"
    if not BRIDGE_FILTER.exists():
        subprocess.run(["modprobe", "br_netfilter"], check=False, capture_output=True)
    return "" if BRIDGE_FILTER.exists() else "the kernel has no br_netfilter"


@pytest.fixture(scope="session")
def _possible() -> None:
    reason = _missing()
    if reason and os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"the laboratory is required: {reason}")
    if reason:
        pytest.skip(f"no laboratory here: {reason}")


@pytest.fixture
def lab(_possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Nothing plugged in, nothing running on the head."""
    with laboratory.running(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture(scope="session")
def _network(_possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with laboratory.running(tmp_path_factory.mktemp("lab")) as made, program.running(made) as network:
        yield network


@pytest.fixture
def network(_network: Program) -> Program:
    """The network up with nothing plugged in; one for all tests that leave the rest of the head alone."""
    _network.reset()
    return _network


@pytest.fixture
def populated(_network: Program, request: pytest.FixtureRequest) -> Program:
    """The same with a node in each slot, which all have their lease; anew where a test has failed."""
    if not _network.is_populated or request.session.testsfailed != _network.failures:
        _network.failures = request.session.testsfailed
        _network.reset()
        _network.populate()
    return _network
