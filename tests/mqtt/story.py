"""What docs/mqtt.md tells: a cluster `rack` with one slot, and all that is said of it."""

from __future__ import annotations

from terrible.model import (
    Answer,
    Event,
    FileRecord,
    Info,
    Location,
    Phase,
    Progress,
    Report,
    Request,
    Slot,
    StageRecord,
    Transcript,
)
from terrible.mqtt import payloads
from terrible.mqtt.payloads import Publication
from terrible.mqtt.roster import Roster
from terrible.mqtt.topics import Topics
from terrible.seams import News

TOPICS = Topics("rack")
SESSION = "5f1c09aa"
NOW = 1795629048.25
SLOT = Slot(
    "node2",
    2,
    Location("1-1.2"),
    "02:9c:51:aa:07:02",
    "02:9c:51:aa:87:02",
    "10.42.0.12",
    "",
    False,
    "g_ether",
)
INFO = Info(
    "0.1.0",
    "rack",
    "head",
    SESSION,
    1795629000.0,
    (SLOT,),
    {"node2": "sysfs"},
    {"node2": "its hub switches each port, and the kernel does it"},
    None,
    "10.42.0.1/24",
    "terrible0",
    "wlan0",
)
REPORT = Report(SLOT, Phase.UP, None, True, 1795629042.117, True, ("10.42.0.12",), 1)
TRANSCRIPT = Transcript(
    "node2",
    1,
    1795629001.904,
    [
        StageRecord("rom", 1.31),
        StageRecord("loader", 4.87),
        StageRecord("starting", 31.2),
        StageRecord("gadget", 2.8),
    ],
    [
        FileRecord("bootcode.bin", 52476, "9a1b…", "boot", 0.1021),
        FileRecord("recovery.elf", 0, None, None, 0.0004, ("slot node2", "boot")),
    ],
    [StageRecord("carrier", 0.02), StageRecord("address", 2.11), StageRecord("ping", 0.67)],
    speed=480,
    seconds=40.213,
    outcome="up",
    diagnosis="up in 40.2 s",
)
TOLD: tuple[News, ...] = (
    INFO,
    REPORT,
    TRANSCRIPT,
    Event(SLOT, "overcurrent", "its port drew too much current and is off", {"code": "overcurrent"}),
    Progress(SLOT, Phase.LOADING, 7340032, "kernel.img"),
)
ASKED = Request("power", "node2", "cycle", id="7c1f")
ANSWERED = (
    Answer("accepted", {"slots": ["node2"]}),
    Answer("done", {"slots": ["node2"]}),
)


def told() -> dict[str, Publication]:
    """Every topic of the story with what was last said on it; of answers, the last."""
    roster, said = Roster(TOPICS), [payloads.status(True, TOPICS)]
    for news in TOLD:
        said += payloads.publications(news, TOPICS, SESSION, NOW)
        if isinstance(news, Info | Report | Transcript):
            roster.learn(news)
    said.append(roster.summary())
    said += [payloads.response(ASKED, answer, TOPICS) for answer in ANSWERED]
    return {one.topic.removeprefix(f"{TOPICS.base}/"): one for one in said}
