"""docs/mqtt.md and docs/schema say what is really said."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from terrible.errors import Code
from terrible.model import Phase
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.client import MqttBroker
from terrible.mqtt.commands import VERBS, Commands, Message
from terrible.mqtt.schema import SHAPES, text
from terrible.mqtt.topics import COMMANDS, Kind

from .brokers import make, observing, run, running, stopped, until
from .story import ANSWERED, ASKED, NOW, SESSION, TOLD, TOPICS, told

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "mqtt.md").read_text()
ROW = re.compile(
    r"^\| `(?P<topic>[a-z/<>]+)` \| .*? \| (`(?P<schema>[a-z]+)`)? ?"
    r"\| (?P<qos>[01]) \| (?P<retained>yes|no|never) \|$",
    re.MULTILINE,
)
EXAMPLE = re.compile(
    r"^### `(?P<topic>[^`]+)`\n(?:[^#`]|`[^`]|``[^`])*?```(?:json)?\n(?P<payload>.*?)\n```$",
    re.MULTILINE | re.DOTALL,
)
NAMES = {"<name>": "node2", "<location>": "1-1", "<n>": "2", "<verb>": "power"}


def concrete(topic: str) -> str:
    """A topic of the page as it is in the story."""
    for written, name in NAMES.items():
        topic = topic.replace(written, name)
    return topic


ROWS = {row["topic"]: row for row in ROW.finditer(PAGE)}
EXAMPLES = {match["topic"]: match["payload"] for match in EXAMPLE.finditer(PAGE)}


def test_every_topic_of_the_contract_is_on_the_page_and_no_other() -> None:
    written = {re.sub(r"<[a-z]+>", "+", topic) for topic in ROWS}
    assert written == {str(kind) for kind in Kind}
    assert {topic for topic, row in ROWS.items() if row["retained"] == "never"} == {
        re.sub(r"\+", "<verb>" if "request" in kind else "<name>", kind) for kind in COMMANDS
    }
    assert set(EXAMPLES) == set(ROWS) - {"node/<name>/power/set", "remote/request/<verb>"}


@pytest.mark.parametrize("topic", sorted(set(EXAMPLES) - {"request/<verb>"}))
def test_an_example_is_what_the_agent_publishes(topic: str) -> None:
    said = told()[concrete(topic)]
    assert meaning(EXAMPLES[topic]) == meaning(said.payload.decode())
    assert (str(said.qos), {True: "yes", False: "no"}[said.retain]) == (
        ROWS[topic]["qos"],
        ROWS[topic]["retained"],
    )
    if name := ROWS[topic]["schema"]:
        plain = {
            key: value for key, value in meaning(EXAMPLES[topic]).items() if key != "v" or name != "boot"
        }
        TypeAdapter(SHAPES[name]).validate_json(json.dumps(plain))
        assert set(json.loads(text(name))["properties"]) == set(meaning(EXAMPLES[topic]))


def meaning(payload: str) -> Any:
    return json.loads(payload) if payload.startswith("{") else payload


def test_the_example_of_a_request_is_understood() -> None:
    found = Commands(TOPICS).read(
        Message(f"{TOPICS.base}/request/power", EXAMPLES["request/<verb>"].encode()), NOW
    )
    assert found == ASKED


def test_the_examples_come_over_a_real_broker_just_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            agent = MqttBroker(BrokerAddress("127.0.0.1", broker.port), "rack", SESSION)
            task = asyncio.create_task(agent.run())
            await until(lambda: f"{TOPICS.base}/status" in observer.held)
            for news in TOLD:
                agent.tell(news)
            for answer in ANSWERED:
                agent.answer(ASKED, answer)
            await until(
                lambda: {topic for topic, *_ in observer.seen} >= {f"{TOPICS.base}/{t}" for t in told()}
            )
            for topic, said in told().items():
                last = [payload for seen, payload, *_ in observer.seen if seen == f"{TOPICS.base}/{topic}"][
                    -1
                ]
                assert said_at_another_time(last) == said_at_another_time(said.payload), topic
            await stopped(task)

    run(test())


def said_at_another_time(payload: bytes) -> Any:
    what = meaning(payload.decode())
    return {**what, "ts": 0} if isinstance(what, dict) and "ts" in what else what


@pytest.mark.parametrize("name", SHAPES)
def test_schema_files_are_fresh(name: str) -> None:
    written = (ROOT / "docs" / "schema" / f"{name}.json").read_text()
    assert written == text(name), "python -m terrible.mqtt.schema docs/schema writes them anew"


def test_every_word_is_explained() -> None:
    words = PAGE.partition("## Words")[2]
    assert {code for code in Code if f"`{code}`" not in words} == set()
    assert {phase for phase in Phase if f"`{phase}`" not in words} == set()
    verbs = {verb for verb in VERBS if f"\n| `{verb}` |" in PAGE}
    assert verbs == VERBS
