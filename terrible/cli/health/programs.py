"""Programs that get in the way of an agent, seen through /proc and the agent's own lock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from terrible import lock
from terrible.cli.health.finding import Finding, Level, failed
from terrible.errors import HostError

PROC = Path("/proc")
_SHELLS = frozenset({"sh", "bash", "dash", "busybox", "watch"})
_AGENTS = frozenset({"run", "serve"})
_OTHERS = {
    "rpiboot": (
        Level.ERROR,
        "takes the Pis that want boot files before the agent can",
        "stop it, and whatever starts it again (systemctl list-units, crontab -l)",
    ),
    "uhubctl": (
        Level.WARNING,
        "switches ports that the agent believes to be as it left them",
        "stop whatever runs it; the agent switches the ports of its slots by itself",
    ),
    "ModemManager": (
        Level.WARNING,
        "talks to the serial consoles of nodes that have just booted",
        "sudo systemctl disable --now ModemManager, unless this machine has a modem",
    ),
    "NetworkManager": (Level.NOTE, "may configure the network gadgets of nodes in its own way", ""),
}


@dataclass(frozen=True, slots=True)
class Program:
    """A process: its id, what it is called, and what it was started with."""

    pid: int
    name: str
    arguments: tuple[str, ...]


def findings() -> Iterator[Finding]:
    """Another agent, then what else is known to disturb one."""
    programs = list(running())
    found = [*_agents(programs), *_disturbing(programs)]
    yield from found or [Finding(Level.OK, "programs", "nothing else is seen that uses Pis or hubs")]
    if not (PROC / "1/comm").exists():
        said = "processes of other users are hidden here, so there may be more"
        yield Finding(Level.NOTE, "programs", said)


def _agents(programs: list[Program]) -> Iterator[Finding]:
    """Whoever holds the lock; an agent of another user has a lock that we may not even see."""
    try:
        with lock.owner():
            pass
    except HostError as error:
        yield failed("agent", error)
        return
    if agents := [program for program in programs if _is_agent(program)]:
        said = f"another terrible is running ({_processes(agents)})"
        yield Finding(Level.ERROR, "agent", said, "stop it first, or ask it over MQTT")


def _is_agent(program: Program) -> bool:
    pairs = zip(program.arguments, program.arguments[1:], strict=False)
    return any(Path(first).name == "terrible" and second in _AGENTS for first, second in pairs)


def _disturbing(programs: list[Program]) -> Iterator[Finding]:
    for name, (level, said, remedy) in _OTHERS.items():
        if seen := [program for program in programs if _is(program, name)]:
            yield Finding(level, "programs", f"{name} ({_processes(seen)}) {said}", remedy)


def _is(program: Program, name: str) -> bool:
    """Called so; or the shell that calls uhubctl, which itself ends at once and is rarely caught."""
    if name in (program.name, Path(program.arguments[0]).name):
        return True
    if name != "uhubctl":
        return False
    words = {Path(word.strip(';&|"()')).name for one in program.arguments[1:] for word in one.split()}
    return program.name in _SHELLS and name in words


def _processes(programs: list[Program]) -> str:
    numbers = ", ".join(str(program.pid) for program in programs)
    return f"process {numbers}" if len(programs) == 1 else f"processes {numbers}"


def running() -> Iterator[Program]:
    """Every process but the kernel's own and the dead, which were started with nothing."""
    for process in sorted(PROC.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            name = (process / "comm").read_text(errors="replace").strip()
            line = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has just ended, or is none of our business
        if line.strip("\0"):
            yield Program(int(process.name), name, tuple(line.rstrip("\0").split("\0")))
