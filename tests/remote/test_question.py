"""A request as the agent's own reader takes it, and the answers as an agent gives them."""

from __future__ import annotations

from typing import Any

from terrible.model import Answer, Request
from terrible.mqtt import payloads
from terrible.mqtt.commands import Commands, Message, Refusal
from terrible.mqtt.topics import Topics
from terrible.remote.heard import Response, Trouble, read
from terrible.remote.question import GOOD_FOR, Question

TOPICS = Topics("rack")
NOW = 1_700_000_000.0


def taken(question: Question, after: float = 0.0, bridged: bool = False) -> Request | Refusal | None:
    """What the agent reads, so many seconds later."""
    asked = question.publication(TOPICS, NOW)
    topic = asked.topic.replace("/request/", "/remote/request/") if bridged else asked.topic
    return Commands(TOPICS).read(Message(topic, asked.payload, asked.retain), NOW + after)


def answer(question: Question, status: str, data: dict[str, Any], code: str = "", message: str = "") -> str:
    request = Request(question.verb, question.slots, id=question.id)
    said = payloads.response(request, Answer(status, data, code, message), TOPICS)
    heard = read(Response, said.payload)
    assert heard is not None
    return question.take(heard)


def test_the_agent_understands_it_also_over_a_bridge() -> None:
    question = Question("power", "node[1-3]", "cycle", force=True)
    wanted = Request("power", "node[1-3]", "cycle", True, question.id)
    assert taken(question) == wanted
    assert taken(question, bridged=True) == wanted
    assert taken(Question("boot", "all", id="1")) == Request("boot", "all", id="1")


def test_it_is_good_for_a_while_only_for_agent_and_broker_alike() -> None:
    late = taken(Question("boot", "all"), after=GOOD_FOR + 1)
    assert isinstance(late, Refusal)
    assert late.code == "expired"
    asked = Question("boot", "all").publication(TOPICS, NOW)
    assert (asked.lives, asked.retain, asked.qos) == (GOOD_FOR, False, 1)


def test_no_two_have_the_same_id() -> None:
    assert len({Question("boot", "all").id for _ in range(100)}) == 100


def test_it_goes_from_accepted_through_progress_to_its_end() -> None:
    question = Question("boot", "node[1-2]")
    assert not question.heard
    assert answer(question, "accepted", {"slots": ["node1", "node2"]}) == ""
    assert (question.heard, question.meant, question.last) == (True, ("node1", "node2"), None)
    assert answer(question, "progress", {"slot": "node2", "left": 1}) == "node2: done (1 left)"
    stalled = {"code": "boot_failed", "message": "stalled"}
    assert (
        answer(question, "progress", {"slot": "node1", "left": 0, "error": stalled})
        == "node1: failed: stalled"
    )
    answer(question, "error", {"failed": {"node1": stalled}}, "boot_failed", "node1: stalled")
    assert question.last is not None
    assert question.failed == {"node1": Trouble("boot_failed", "stalled")}


def test_a_refusal_is_of_no_slot() -> None:
    question = Question("boot", "nodes")
    answer(question, "error", {}, "unknown_slot", "there is no slot nodes")
    assert question.failed == {"": Trouble("unknown_slot", "there is no slot nodes")}


def test_answers_to_others_are_not_its_own() -> None:
    question = Question("boot", "all")
    answer(Question("boot", "all"), "accepted", {"slots": ["node1"]})
    assert question.take(Response("another", True, "done")) == ""
    assert (question.heard, question.last) == (False, None)


def test_what_nodes_and_strangers_say_cannot_move_a_cursor() -> None:
    """A diagnosis has the names of files that a node asked for; whoever may answer may say anything."""
    evil, seen = "\x1b[2J\x07", "\ufffd[2J\ufffd"
    question = Question("probe", "all")
    answer(question, "accepted", {"slots": [evil]})
    trouble = {"code": evil, "message": evil}
    assert answer(question, "progress", {"slot": evil, "left": evil}) == f"{seen}: done ({seen} left)"
    assert answer(question, "progress", {"slot": "a", "left": 0, "error": trouble}) == f"a: failed: {seen}"
    answer(question, "error", {"failed": {evil: trouble}, "verdicts": {evil: {"sentence": evil}}}, "c", "m")
    assert (question.meant, question.verdicts) == ((seen,), {seen: seen})
    assert question.failed == {seen: Trouble(seen, seen)}


def test_nonsense_in_an_answer_is_no_error_of_ours() -> None:
    question = Question("boot", "all")
    for slots in (7, None, {"node1": 1}, "node1"):
        answer(question, "accepted", {"slots": slots})
        assert question.meant == ()
    answer(question, "error", {"verdicts": {"node1": 7, "node2": None}}, "c", "m")
    assert question.verdicts == {"node1": ""}
    question.take(Response(question.id, False, "progress", {"error": 7}, None))
    question.take(Response(question.id, False, "error", {"failed": {"node1": 7}}, Trouble("c", "m")))
    assert question.failed == {"node1": Trouble("", "")}
