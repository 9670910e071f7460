"""What people ask for, taken to the slots they name, and the answers taken back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from terrible.errors import Code, HostError, Problem
from terrible.flashing import Job
from terrible.model import Answer, Request
from terrible.seams import Broker, Disks
from terrible.slot import Life
from terrible.slots import UnknownSlot, expand
from terrible.state import State

log = logging.getLogger(__name__)

ACTIONS = {"power": ("on", "off", "cycle")} | {
    verb: (verb,) for verb in ("boot", "release", "probe", "flash")
}
"""What each verb may do: `power` carries its action, the others are one."""
WAKING = ("on", "cycle", "boot", "probe")
"""Actions that a latch forbids."""
GLANCE, LOOK = 3.0, 60.0
"""Seconds to see that an image is there, before anybody is told that it is accepted; and to look into it."""


class Refused(Exception):
    """A request without effect: a stable code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Desk:
    """Takes requests one by one and never waits for one before it takes the next."""

    def __init__(
        self, broker: Broker, lives: Callable[[], Mapping[str, Life]], state: State, disks: Disks
    ) -> None:
        self._broker, self._lives, self._state, self._disks = broker, lives, state, disks

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Take requests until cancelled."""
        async for request in self._broker.requests():
            if request.verb == "flash":
                tasks.create_task(self._flash(request, tasks), name=f"request flash {request.image}")
            else:
                self._take(request, tasks)

    def _take(self, request: Request, tasks: asyncio.TaskGroup) -> None:
        try:
            names = self._named(request)
            orders = self._place(request, names, None)
        except Refused as refusal:
            self._refuse(request, refusal)
            return
        self._accept(request, names)
        tasks.create_task(self._follow(request, orders), name=f"request {request.verb}")

    async def _flash(self, request: Request, tasks: asyncio.TaskGroup) -> None:
        """The image is looked at first: where nothing would come of it, what runs runs on undisturbed."""
        try:
            names = self._named(request)
            await _looked("bad_request", request.image, GLANCE, self._disks.check(request.image))
            self._accept(request, names)
            await _looked(Code.NOT_FLASHED, request.image, LOOK, self._disks.look(request.image))
            names = self._named(request)  # meanwhile they may have been asked for something else
        except Refused as refusal:
            self._refuse(request, refusal)
            return
        job = Job(self._disks, request.image, names)
        orders = self._place(request, names, job)
        tasks.create_task(job.run(), name=f"flash {job.image}")
        await self._follow(request, orders)

    def _named(self, request: Request) -> list[str]:
        """The slots that it names; Refused where there is one that is not, or is not to be asked now."""
        action = request.action or request.verb
        if action not in ACTIONS.get(request.verb, ()):
            raise Refused("bad_request", f"this agent does not know {request.verb} {request.action}".strip())
        lives = self._lives()
        try:
            names = expand(request.slots, list(lives))
        except UnknownSlot as error:
            raise Refused("unknown_slot", str(error)) from None
        except ValueError as error:  # the topic of a plain word may hold what is no name of a slot
            raise Refused("bad_request", str(error)) from None
        if not names:
            raise Refused("unknown_slot", "there are no slots yet")
        for name in names:
            held = lives[name].latched
            if held is not None and (action in WAKING or (action, held.code) == ("flash", Code.OVERCURRENT)):
                raise Refused(str(held.code), f"{name}: {held.message}")
        if busy := [name for name in names if lives[name].busy]:
            raise Refused("busy", f"{', '.join(busy)}: another operation is running")
        return names

    def _place(
        self, request: Request, names: list[str], job: Job | None
    ) -> dict[str, asyncio.Future[Problem | None]]:
        """Give the order to each of them."""
        action = request.action or request.verb
        if action in ("on", "off", "boot"):
            self._state.wish_all(names, on=action != "off")
        lives = self._lives()
        return {name: lives[name].order(action, request.force, job) for name in names}

    async def _follow(self, request: Request, orders: dict[str, asyncio.Future[Problem | None]]) -> None:
        """Tell of each slot that has done it, or could not, and answer once all have."""
        try:
            await self._until_all_ended(request, orders)
        except asyncio.CancelledError:
            self._refuse(request, Refused("agent_error", "the agent stopped"))
            raise
        problems = {name: problem for name, done in orders.items() if (problem := done.result())}
        found = self._found(request, [name for name in orders if name not in problems])
        said: dict[str, Any] = {"slots": list(orders), **found}
        if not problems:
            self._broker.answer(request, Answer("done", said))
            return
        first = next(iter(problems.values()))
        message = "; ".join(f"{name}: {problem.message}" for name, problem in problems.items())
        failed = {name: _plain(problem) for name, problem in problems.items()}
        self._broker.answer(request, Answer("error", {**said, "failed": failed}, str(first.code), message))

    async def _until_all_ended(
        self, request: Request, orders: dict[str, asyncio.Future[Problem | None]]
    ) -> None:
        """Where there are several slots, whoever asked learns of each as it ends."""
        left = dict(orders)
        while left:
            await asyncio.wait(left.values(), return_when=asyncio.FIRST_COMPLETED)
            for name in [name for name, done in left.items() if done.done()]:
                problem = left.pop(name).result()
                if len(orders) > 1:
                    error = {"error": _plain(problem)} if problem else {}
                    self._broker.answer(
                        request, Answer("progress", {"slot": name, "left": len(left), **error})
                    )

    def _found(self, request: Request, names: list[str]) -> dict[str, Any]:
        """What the probes of these slots have found out, what is to be said of their cards; else nothing."""
        lives = self._lives()
        match request.verb:
            case "probe":
                return {"verdicts": {name: self._state.verdict(lives[name].slot.location) for name in names}}
            case "flash":
                said = {name: (self._state.flashed(name) or {}).get("remark", "") for name in names}
                return {"remarks": {name: remark for name, remark in said.items() if remark}}
        return {}

    def _accept(self, request: Request, names: list[str]) -> None:
        self._broker.answer(request, Answer("accepted", {"slots": names}))

    def _refuse(self, request: Request, refusal: Refused) -> None:
        self._broker.answer(request, Answer("error", {}, refusal.code, str(refusal)))


async def _looked(code: str, image: str, limit: float, looking: Coroutine[Any, Any, None]) -> None:
    """Refused with this code for what it finds; it may not take for ever, for disks do not always answer."""
    try:
        async with asyncio.timeout(limit):
            await looking
    except TimeoutError:
        message = f"{image} could not be looked at in {limit:g} s; does its disk still answer?"
        raise Refused(code, message) from None
    except HostError as error:
        raise Refused(code, str(error)) from None
    except asyncio.CancelledError:
        raise Refused(Code.AGENT_ERROR, "the agent stopped") from None
    except Exception as error:
        log.exception("%s: an error of the agent's own", image)
        raise Refused(Code.AGENT_ERROR, f"an error of the agent's own: {type(error).__name__}") from None


def _plain(problem: Problem) -> dict[str, str]:
    return {"code": str(problem.code), "message": problem.message}
