"""Messages of strangers: understood, refused or ignored, and never more than that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from terrible.model import Request
from terrible.mqtt import commands as reading
from terrible.mqtt.commands import AHEAD, LARGEST, VERBS, Commands, Message, Refusal
from terrible.mqtt.topics import Topics

BASE = "terrible/rack-1"
NOW = 1_700_000_000.0


def commands() -> Commands:
    return Commands(Topics("rack-1"))


def ask(verb: str, **fields: Any) -> Request | Refusal | None:
    return commands().read(Message(f"{BASE}/request/{verb}", json.dumps(fields).encode()), NOW)


@pytest.mark.parametrize("word", ["on", "off", "cycle"])
def test_plain_words(word: str) -> None:
    read = commands().read(Message(f"{BASE}/node/node1/power/set", word.encode()), NOW)
    assert read == Request("power", "node1", word)


@pytest.mark.parametrize("word", [b"", b"ON", b"on ", b"toggle", b'"on"', b"\xff", b"o" * 100_000])
def test_other_words_are_refused(word: bytes) -> None:
    read = commands().read(Message(f"{BASE}/node/node1/power/set", word), NOW)
    assert isinstance(read, Refusal)
    assert (read.request, read.code) == (Request("power", "node1"), "bad_request")


@pytest.mark.parametrize(
    ("verb", "fields", "request_"),
    [
        ("boot", {"id": "1", "slots": "node[1-3]"}, Request("boot", "node[1-3]", id="1")),
        ("boot", {"id": "1", "slots": ["node1", "node4"], "v": 1}, Request("boot", "node1,node4", id="1")),
        ("power", {"id": "1", "slots": "all", "action": "off", "force": True},
         Request("power", "all", "off", True, "1")),
        ("status", {"id": "1"}, Request("status", "all", id="1")),
    ],
)  # fmt: skip
def test_requests(verb: str, fields: dict[str, Any], request_: Request) -> None:
    assert ask(verb, **fields) == request_


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_all_verbs_of_the_contract_are_understood(verb: str) -> None:
    own: dict[str, Any] = {"power": {"action": "cycle"}, "flash": {"image": "raspios.img.xz"}}.get(verb, {})
    assert ask(verb, id="x", slots="node1", **own) == Request(verb, "node1", id="x", **own)


@pytest.mark.parametrize(
    "image", ["", "../x", "a/b", "/dev/sda", ".hidden", "a\nb", "x" * 200, "-", "two words.img"]
)
def test_an_image_is_the_name_of_a_file_and_nothing_else(image: str) -> None:
    refused = ask("flash", id="x", slots="node1", image=image)
    assert isinstance(refused, Refusal)
    assert refused.message.startswith("image: a file in the head's directory of images, by its name alone")
    other = ask("boot", id="y", slots="node1", image=image or "x.img")
    assert isinstance(other, Refusal)


@pytest.mark.parametrize(
    ("verb", "fields", "id_", "message"),
    [
        ("boot", {"slots": "node1"}, "", "id: "),
        ("boot", {"id": 5, "slots": "node1"}, "", "id: "),
        ("boot", {"id": "", "slots": "node1"}, "", "id: "),
        ("boot", {"id": "x" * 65, "slots": "node1"}, "", "id: "),
        ("boot", {"id": "a\nb", "slots": "node1"}, "", "id: "),
        ("boot", {"id": "1"}, "1", "slots: "),
        ("boot", {"id": "1", "slots": []}, "1", "slots: "),
        ("boot", {"id": "1", "slots": "node["}, "1", "slots: "),
        ("boot", {"id": "1", "slots": 7}, "1", "slots: "),
        ("boot", {"id": "1", "slots": "node1", "force": "yes"}, "1", "force: "),
        ("boot", {"id": "1", "slots": "node1", "action": "on"}, "1", "action: "),
        ("boot", {"id": "1", "slots": "node1", "forse": True}, "1", "forse: "),
        ("boot", {"id": "1", "slots": "node1", "v": 2}, "1", "v: "),
        ("power", {"id": "1", "slots": "node1"}, "1", "action: "),
        ("power", {"id": "1", "slots": "node1", "action": "explode"}, "1", "action: "),
        ("dance", {"id": "1", "slots": "node1"}, "1", "unknown verb"),
    ],
)
def test_refusals_say_why_and_to_whom(verb: str, fields: dict[str, Any], id_: str, message: str) -> None:
    read = ask(verb, **fields)
    assert isinstance(read, Refusal)
    assert (read.code, read.request.verb, read.request.id) == ("bad_request", verb, id_)
    assert read.message.startswith(message)


@pytest.mark.parametrize(
    "payload", [b"", b"on", b"[]", b"null", b"5", b"{", b"\xff\xfe", b'{"id": "\\ud800"}', b"[" * 50_000]
)
def test_what_is_no_object(payload: bytes) -> None:
    read = commands().read(Message(f"{BASE}/request/boot", payload), NOW)
    assert isinstance(read, Refusal)
    assert read.request == Request("boot", "", id="")


def test_oversized_is_refused_unread() -> None:
    reader = commands()
    payload = json.dumps({"id": "1", "slots": "node1"}).encode() + b" " * LARGEST
    read = reader.read(Message(f"{BASE}/request/boot", payload), NOW)
    assert isinstance(read, Refusal)
    assert read.request.id == ""
    assert reader.refused == {"oversized": 1}


def test_a_plain_word_is_for_one_slot() -> None:
    """`all` is no slot's name, though in a request it stands for every one."""
    reader = commands()
    read = reader.read(Message(f"{BASE}/node/all/power/set", b"off"), NOW)
    assert isinstance(read, Refusal)
    assert (read.code, reader.refused) == ("unknown_slot", {"malformed": 1})


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"id":"1","slots":[' + b",".join([b"1"] * 30_000) + b"]}", "list of texts"),
        (b'{"id":"1",' + b",".join(b'"k%d":1' % n for n in range(5000)) + b"}", "no request has"),
    ],
)
def test_thousands_of_faults_are_one(payload: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is dear: 25,000 held the loop up for 0.2 s, and a thousand such requests wait in the queue."""
    faults: list[int] = []

    def why(error: ValidationError) -> str:
        faults.append(error.error_count())
        return str(error)

    monkeypatch.setattr(reading, "_why", why)
    read = commands().read(Message(f"{BASE}/request/boot", payload), NOW)
    assert isinstance(read, Refusal)
    assert read.request.id == "1"
    assert said in read.message
    assert sum(faults) <= 1


def test_retained_is_ignored() -> None:
    reader = commands()
    assert reader.read(Message(f"{BASE}/node/node1/power/set", b"off", True), NOW) is None
    assert reader.read(Message(f"{BASE}/request/boot", b'{"id":"1","slots":"all"}', True), NOW) is None
    assert reader.refused == {"retained": 2}


def test_other_topics_are_ignored() -> None:
    reader = commands()
    assert reader.read(Message(f"{BASE}/node/node1/state", b"off"), NOW) is None
    assert reader.read(Message("terrible/rack-2/node/node1/power/set", b"off"), NOW) is None
    assert reader.refused == {"stray": 2}


def test_a_repeated_id_is_answered_once() -> None:
    reader = commands()
    payload = b'{"id":"1","slots":"node1"}'
    assert isinstance(reader.read(Message(f"{BASE}/request/boot", payload), NOW), Request)
    assert reader.read(Message(f"{BASE}/request/boot", payload), NOW) is None
    assert reader.read(Message(f"{BASE}/request/probe", payload), NOW) is None
    wrong = b'{"id":"2","slots":""}'
    assert isinstance(reader.read(Message(f"{BASE}/request/boot", wrong), NOW), Refusal)
    assert reader.read(Message(f"{BASE}/request/boot", wrong), NOW) is None
    assert reader.refused == {"repeated": 3, "malformed": 1}


def order(reader: Commands, kind: str = "request", **fields: Any) -> Request | Refusal | None:
    asked = {"id": str(fields), "slots": "node1", **fields}
    return reader.read(Message(f"{BASE}/{kind}/boot", json.dumps(asked).encode()), NOW)


def test_what_has_expired_is_refused_and_told_by_whose_clock() -> None:
    reader = commands()
    assert isinstance(order(reader, expires=NOW), Request)
    assert isinstance(order(reader, expires=NOW + 1e9), Request), "on the same broker it may be good for ever"
    late = order(reader, expires=NOW - 5)
    assert isinstance(late, Refusal)
    assert (late.code, late.message.partition(";")[0]) == (
        "expired", "it was good until 5 s ago by this head's clock, which says 1700000000"
    )  # fmt: skip
    assert reader.refused == {"expired": 1}


@pytest.mark.parametrize("expires", [None, NOW + AHEAD + 1, 1e300, float("inf"), float("nan")])
def test_a_request_over_a_bridge_must_expire_and_soon(expires: float | None) -> None:
    reader = commands()
    refused = order(reader, "remote/request", expires=expires)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.message.split()[0]) == ("bad_request", "expires:")
    assert isinstance(order(reader, "remote/request", expires=NOW + 30), Request)
    assert isinstance(order(reader, "remote/request", expires=NOW - 1), Refusal)
    assert reader.refused == {"malformed": 1, "expired": 1}


def test_one_id_is_good_for_one_request_whichever_way_it_comes() -> None:
    reader = commands()
    assert isinstance(order(reader, id="7", expires=NOW + 30), Request)
    assert order(reader, "remote/request", id="7", expires=NOW + 30) is None


@pytest.mark.parametrize(
    ("wanted", "topic"),
    [
        (f"{BASE}/response/status", f"{BASE}/response/status"),
        (f"{BASE}/response/cli/7c1f", f"{BASE}/response/cli/7c1f"),
        *[(f"{BASE}/{other}", "") for other in (
            "response/", "response", "status", "node/node1/power/set", "request/power",
            "response/+", "response/#", "response/a//b", "response/x\x00", "response/" + "a/" * 200 + "a",
        )],
        ("terrible/rack-2/response/status", ""),
        ("homeassistant/status", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_answers_go_below_our_own_response_topic_only(wanted: str, topic: str) -> None:
    message = Message(f"{BASE}/request/boot", b'{"id":"1","slots":"node1"}', False, wanted, b"mine")
    found = commands().read(message, NOW)
    assert isinstance(found, Request)
    assert (found.reply_to, found.correlation) == (topic, b"mine")


def test_a_plain_word_is_never_answered_elsewhere_and_large_correlation_data_is_left_out() -> None:
    word = Message(f"{BASE}/node/node1/power/set", b"on", False, f"{BASE}/response/x", b"mine")
    assert commands().read(word, NOW) == Request("power", "node1", "on")
    message = Message(f"{BASE}/request/boot", b'{"id":"1","slots":"node1"}', False, "", b"x" * 257)
    assert commands().read(message, NOW) == Request("boot", "node1", id="1")


def test_plain_words_may_be_repeated() -> None:
    reader = commands()
    for _ in range(3):
        assert isinstance(reader.read(Message(f"{BASE}/node/node1/power/set", b"cycle"), NOW), Request)


def test_only_the_last_ids_are_remembered() -> None:
    reader = commands()

    def boot(number: int) -> Request | Refusal | None:
        return reader.read(Message(f"{BASE}/request/boot", b'{"id":"%d","slots":"node1"}' % number), NOW)

    for number in range(1025):
        assert boot(number) is not None
    assert boot(1024) is None
    assert boot(1) is None
    assert boot(0) is not None, "the oldest is forgotten"


_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.one_of(st.text(max_size=70), st.integers(), st.none()),
        "slots": st.one_of(st.text(alphabet="node12[]-,all"), st.lists(st.text(max_size=9)), st.integers()),
        "action": st.sampled_from(["on", "off", "cycle", "", "ON", 1, None]),
        "force": st.one_of(st.booleans(), st.text(max_size=3)),
        "v": st.integers(),
        "expires": st.one_of(st.floats(), st.integers(), st.text(max_size=3), st.none()),
        "other": st.recursive(st.none() | st.floats() | st.text(), st.lists, max_leaves=5),
    },
)
_PAYLOADS = st.one_of(
    st.binary(max_size=300),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
    .map(json.dumps)
    .map(str.encode),
    _FIELDS.map(json.dumps).map(str.encode),
)
_TOPICS = st.sampled_from(
    [f"{way}request/{verb}" for verb in [*sorted(VERBS), "x"] for way in ("", "remote/")]
    + ["node/node1/power/set"]
)


@settings(max_examples=1000, deadline=None)
@given(_TOPICS, _PAYLOADS, st.booleans())
@example("request/boot", b'{"id":"1","slots":' + b"9" * 60_000 + b"}", False)
@example("request/boot", b'{"id":"1","id":"2","slots":"all"}', False)
@example("request/boot", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, False)
def test_nothing_that_arrives_can_raise(topic: str, payload: bytes, retained: bool) -> None:
    reader = commands()
    read = reader.read(Message(f"{BASE}/{topic}", payload, retained), NOW)
    if isinstance(read, Request):
        assert read.verb in VERBS
        assert read.slots
        assert not retained
    else:
        assert sum(reader.refused.values()) == 1
    if isinstance(read, Refusal):
        assert 0 < len(read.message) <= 300
        assert read.request.id is None or len(read.request.id) <= 64
