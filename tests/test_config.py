"""One file over defaults, the environment over both; what cannot be used is said in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrible import configfile
from terrible.cli.settings import discovery
from terrible.config import Config, port_location, slug
from terrible.configfile import ConfigError, load
from terrible.limits import Limits
from terrible.mqtt.homeassistant import Discovery
from terrible.net import addresses
from terrible.placement import places
from terrible.power_config import BACKENDS

EXAMPLES = 20_000 if os.environ.get("LONG") == "1" else 200
ROOT = Path(__file__).parent.parent
SECRET = "hunter2"
TWO_SLOTS = """
[[slots]]
name = "gate"
location = "1-1.4"
[[slots]]
name = "worker-2"
location = "2-1.1.3"
number = 9
profile = "lab"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "terrible.toml"


def loaded(path: Path, text: str, **environment: str) -> Config:
    path.write_text(text)
    return load(path, environment)


def complaint(path: Path, text: str, **environment: str) -> str:
    """What is said of a configuration, without the file's name, or `environment`, in front."""
    with pytest.raises(ConfigError) as failed:
        loaded(path, text, **environment)
    lines = str(failed.value).splitlines()
    assert all(line.startswith((f"{path}: ", "environment: ")) for line in lines)
    return "\n".join(line.removeprefix(f"{path}: ").removeprefix("environment: ") for line in lines)


# -- what is meant ------------------------------------------------------------------------------------


def test_the_smallest_useful_file(path: Path) -> None:
    config = loaded(path, 'hub = "1-1"\nports = 4\n')
    slots = config.named_slots()
    assert [(s.name, s.number, s.location) for s in slots] == [
        ("node1", 1, "1-1.1"),
        ("node2", 2, "1-1.2"),
        ("node3", 3, "1-1.3"),
        ("node4", 4, "1-1.4"),
    ]
    assert [s.address for s in slots] == ["10.42.0.11", "10.42.0.12", "10.42.0.13", "10.42.0.14"]
    assert slots[1].mac == addresses.mac(config.cluster, 2)
    assert slots[1].host_mac == addresses.host_mac(config.cluster, 2)
    assert config.configured
    assert config.limits == Limits()


def test_no_file_configures_nothing() -> None:
    config = load(None, {})
    assert not config.configured
    assert config.named_slots() == []
    assert (config.mqtt.host, config.mqtt.port) == ("localhost", 1883)


def test_the_cluster_is_called_like_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Rack 3.example_org")
    assert load(None, {}).cluster == "rack-3-example-org"


def test_what_holds_for_all_slots_and_what_a_slot_has_of_its_own(path: Path) -> None:
    other = '[[slots]]\nname = "beta"\nlocation = "1-1.2"\nwatchdog = false\nshutdown = []\n'
    first = '[[slots]]\nname = "alpha"\nlocation = "1-1.1"\n'
    config = loaded(path, f'watchdog = true\nshutdown = ["end", "{{address}}"]\n{first}{other}')
    assert [slot.watchdog for slot in config.named_slots()] == [True, False]
    assert config.shutdowns() == {"alpha": ("end", "{address}"), "beta": ()}


def test_the_ports_of_a_root_hub(path: Path) -> None:
    config = loaded(path, 'hub = "usb1"\nports = 2\n')
    assert [s.location for s in config.named_slots()] == ["1-1", "1-2"]


@pytest.mark.parametrize(
    ("hub", "location"), [("1-1", "1-1.3"), ("1-1.2", "1-1.2.3"), ("usb1", "1-3"), ("usb12", "12-3")]
)
def test_port_3_of_a_hub(hub: str, location: str) -> None:
    assert port_location(hub, 3) == location


def test_slots_spelled_out(path: Path) -> None:
    gate, worker = loaded(path, TWO_SLOTS).named_slots()
    assert (gate.name, gate.number, gate.location, gate.profile) == ("gate", 1, "1-1.4", "")
    assert (worker.name, worker.number, worker.location, worker.profile) == ("worker-2", 9, "2-1.1.3", "lab")


def test_tables_merge_key_by_key_and_the_environment_is_above_the_file(path: Path) -> None:
    config = loaded(
        path,
        'cluster = "file"\n[mqtt]\nhost = "file"\nport = 1\n[limits]\nstagger = 2\n',
        TERRIBLE_MQTT__PORT="8883",
        TERRIBLE_LIMITS__ATTEMPTS="7",
        TERRIBLE_CLUSTER="environment",
        PATH="/bin",
        TERRIBLE_CONFIG="read elsewhere",
        TERRIBLE_BROKER="read elsewhere",
    )
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.tls) == ("file", 8883, False)
    assert config.limits == Limits(stagger=2.0, attempts=7)
    assert config.cluster == "environment"


def test_environment_values_have_types() -> None:
    config = load(
        None,
        {
            "TERRIBLE_HUB": "1-1",
            "TERRIBLE_PORTS": "2",
            "TERRIBLE_MQTT__TLS": "true",
            "TERRIBLE_MQTT__USERNAME": '"12"',
            "TERRIBLE_MQTT__PASSWORD_FILE": "/run/secrets/broker",
            "TERRIBLE_FILES__DIRECTORY": "/srv/boot",
            "TERRIBLE_LIMITS__OFF_TIME": "1.5",
            "TERRIBLE_LIMITS__PAUSES": "[1, 2.5]",
        },
    )
    assert [s.location for s in config.named_slots()] == ["1-1.1", "1-1.2"]
    assert (config.mqtt.tls, config.mqtt.username) == (True, "12")
    assert config.mqtt.password_file == Path("/run/secrets/broker")
    assert config.files.directory == Path("/srv/boot")
    assert (config.limits.off_time, config.limits.pauses) == (1.5, (1.0, 2.5))


def test_home_assistant_is_told_unless_somebody_minds(path: Path) -> None:
    assert discovery(load(None, {})) == Discovery("homeassistant", enabled=True)
    path.write_text('[homeassistant]\nprefix = "smart/home"\n')
    quiet = load(path, {"TERRIBLE_HOMEASSISTANT__DISCOVERY": "false"})
    assert discovery(quiet) == Discovery("smart/home", enabled=False)


def test_slots_can_come_from_the_environment() -> None:
    config = load(None, {"TERRIBLE_SLOTS": '[{name = "a", location = "1-1.1"}]'})
    assert [s.name for s in config.named_slots()] == ["a"]


POWER = """
[power]
backend = "gpio"
[power.gpio]
chip = "/dev/gpiochip4"
active_low = true
lines = {gate = 17, worker-2 = 27}
[power.command]
on = ["plugctl", "{slot}", "on"]
off = ["plugctl", "{slot}", "off"]
status = ["plugctl", "{number}@{location}"]
timeout = 3
[power.clusterhat]
version = "2.3"
"""


def test_power_is_automatic_unless_asked_for_otherwise(path: Path) -> None:
    config = loaded(path, 'hub = "1-1"\nports = 2\n')
    assert config.backends() == {"node1": "auto", "node2": "auto"}
    assert (config.power.gpio.chip, config.power.gpio.active_low) == (None, False)
    assert config.power.command.timeout == 10.0
    assert config.power.clusterhat.version is None


def test_a_power_table_and_a_slot_that_overrides_it(path: Path) -> None:
    config = loaded(path, TWO_SLOTS + 'power = "command"\n' + POWER)
    assert config.backends() == {"gate": "gpio", "worker-2": "command"}
    gpio, command = config.power.gpio, config.power.command
    assert (gpio.chip, gpio.active_low) == (Path("/dev/gpiochip4"), True)
    assert gpio.lines == {"gate": 17, "worker-2": 27}
    assert (command.on, command.off) == (["plugctl", "{slot}", "on"], ["plugctl", "{slot}", "off"])
    assert (command.status, command.timeout) == (["plugctl", "{number}@{location}"], 3.0)
    assert config.power.clusterhat.version == "2.3"


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_can_be_named(path: Path, backend: str) -> None:
    config = loaded(path, TWO_SLOTS + POWER.replace('"gpio"', f'"{backend}"'))
    assert set(config.backends().values()) == {backend}


def test_power_can_come_from_the_environment(path: Path) -> None:
    config = loaded(
        path,
        'hub = "1-1"\nports = 1\n[power]\nbackend = "hub"\n',
        TERRIBLE_POWER__BACKEND="gpio",
        TERRIBLE_POWER__GPIO__LINES="{node1 = 4}",
    )
    assert (config.backends(), config.power.gpio.lines) == ({"node1": "gpio"}, {"node1": 4})


def test_the_port_helper_reads_the_same_file(path: Path) -> None:
    text = TWO_SLOTS + 'power = "command"\n' + POWER
    assert {place.location for place in places(tomllib.loads(text))} == {
        slot.location for slot in loaded(path, text).named_slots()
    }


@pytest.mark.parametrize("text", ["raspberrypi", "Küche", "a.b.c", "-x-", "", "___", "Z" * 300, "日本"])
def test_any_host_name_makes_a_cluster(text: str) -> None:
    Config(cluster=slug(text))


def test_a_long_host_name_makes_a_cluster_too() -> None:
    Config(cluster=slug("x" * 62 + ".example"))


# -- what cannot be used --------------------------------------------------------------------------------

SLOT = '[[slots]]\nname = "a"\nlocation = "1-1.1"\n'
BAD: dict[str, tuple[str, ...]] = {
    "hubs = 1": ("hubs: unknown key; allowed here: cluster, hub, ports, slots, subnet",),
    "[mqtt]\nprot = 1": ("mqtt.prot: unknown key; allowed here: host, port, username",),
    "[files]\ndir = 1": ("files.dir: unknown key; allowed here: directory, firmware, profiles",),
    "[homeassistant]\nenabled = true": (
        "homeassistant.enabled: unknown key; allowed here: discovery, prefix",
    ),
    '[homeassistant]\ndiscovery = "off"': ("homeassistant.discovery = 'off': ", "valid boolean"),
    '[homeassistant]\nprefix = "home/#"': ("homeassistant.prefix = 'home/#': ", "pattern"),
    "[limits]\nwait = 1": ("limits.wait: unknown key; allowed here: power_on_to_rom, control_out",),
    SLOT + "port = 1": ("slots.0.port: unknown key; allowed here: name, location, number, profile, power",),
    "hub = 1": ("hub = 1: ", "valid string"),
    'hub = "1-1"\nports = 0': ("ports = 0: ", "greater than or equal to 1"),
    'hub = "1-1"\nports = 32': ("ports = 32: ", "less than or equal to 31"),
    'hub = "1-1"\nports = 2.5': ("ports = 2.5: ", "valid integer"),
    'hub = "1-1"\nports = "four"': ("ports = 'four': ", "valid integer"),
    "[mqtt]\nport = 65536": ("mqtt.port = 65536: ", "less than or equal to 65535"),
    "[mqtt]\nport = 0": ("mqtt.port = 0: ", "greater than or equal to 1"),
    '[mqtt]\ntls = "perhaps"': ("mqtt.tls = 'perhaps': ", "valid boolean"),
    "[files]\ndirectory = 5": ("files.directory = 5: ", "path"),
    "mqtt = 5": ("mqtt = 5: ", "dictionary"),
    "slots = 5": ("slots = 5: ", "must be a list"),
    "slots = [5]": ("slots.0 = 5: ", "dictionary"),
    'cluster = "My Rack"': ("cluster = 'My Rack': ", "a name has only a-z and 0-9"),
    'cluster = ""': ("cluster = '': ", "a name has only a-z and 0-9"),
    f'cluster = "{"x" * 64}"': ("cluster = 'xxx", "63"),
    SLOT.replace('"a"', '"A"'): ("slots.0.name = 'A': ", "a name has only a-z and 0-9"),
    SLOT.replace('"a"', '"node[1-3]"'): ("slots.0.name = 'node[1-3]': ", "a name has only a-z and 0-9"),
    SLOT.replace('"a"', '"node1,node4"'): ("slots.0.name = 'node1,node4': ", "a name has only a-z and 0-9"),
    SLOT.replace('"a"', '"a\\n"'): ("slots.0.name = 'a\\n': ", "a name has only a-z and 0-9"),
    SLOT + "number = 241": ("slots.0.number = 241: ", "less than or equal to 240"),
    SLOT + "number = 0": ("slots.0.number = 0: ", "greater than or equal to 1"),
    '[[slots]]\nname = "a"': ("slots.0.location: ", "required"),
    '[limits]\nstagger = "soon"': ("limits.stagger = 'soon': ", "valid number"),
    "[limits]\nattempts = 2.5": ("limits.attempts = 2.5: ", "valid integer"),
    "[limits]\nattempts = inf": ("limits.attempts = inf: ", "finite"),
    '[limits]\npauses = ["a"]': ("limits.pauses.0 = 'a': ", "valid number"),
    "limits = 5": ("limits = 5: ", "dictionary"),
    "power = 5": ("power = 5: ", "dictionary"),
    '[power]\nbackend = "uhubctl"': (
        "power.backend = 'uhubctl': ",
        "'auto', 'sysfs', 'hub', 'clusterhat', 'gpio', 'command' or 'none'",
    ),
    'shutdown = "poweroff"': ("shutdown = 'poweroff': must be a list",),
    'shutdown = ["ssh", "{host}"]': ("shutdown: unknown placeholder {host}; allowed here: {slot}, {number}",),
    SLOT + "watchdog = 1": ("slots.0.watchdog = 1: ", "valid boolean"),
    "[power]\nback = 1": ("power.back: unknown key; allowed here: backend, gpio, command, clusterhat",),
    "[power.gpio]\npins = 1": ("power.gpio.pins: unknown key; allowed here: chip, active_low, lines",),
    "[power.command]\nrun = 1": ("power.command.run: unknown key; allowed here: on, off, status, timeout",),
    "[power.clusterhat]\nhub = 1": ("power.clusterhat.hub: unknown key; allowed here: version",),
    SLOT + 'power = "relay"': ("slots.0.power = 'relay': ", "'auto', 'sysfs', 'hub'"),
    SLOT + "[power.gpio]\nlines = {a = 1.5}": ("power.gpio.lines.a = 1.5: ", "valid integer"),
    SLOT + "[power.gpio]\nlines = {a = true}": ("power.gpio.lines.a = True: ", "valid integer"),
    SLOT + "[power.gpio]\nlines = {a = -1}": ("power.gpio.lines.a = -1: ", "greater than or equal to 0"),
    "[power.gpio]\nlines = [17]": ("power.gpio.lines: ", "dictionary"),
    "[power.gpio]\nchip = 0": ("power.gpio.chip = 0: ", "path"),
    "[power.command]\non = []": ("power.command.on: ", "at least 1 item"),
    '[power.command]\non = ["plugctl", 1]': ("power.command.on.1 = 1: ", "valid string"),
    '[power.command]\non = ["", "x"]': ("power.command.on: the first word is the program",),
    '[power.command]\noff = ["a\\u0000b"]': ("power.command.off: ", "NUL"),
    '[power.command]\nstatus = ["plugctl", "{port}"]': (
        "power.command.status: unknown placeholder {port}; allowed here: {slot}, {number}, {location}",
    ),
    "[power.command]\ntimeout = 0": ("power.command.timeout = 0: ", "greater than 0"),
    "[power.command]\ntimeout = inf": ("power.command.timeout = inf: ", "finite"),
    "[power.command]\ntimeout = 601": ("power.command.timeout = 601: ", "less than or equal to 600"),
    '[power.clusterhat]\nversion = "4.0"': (
        "power.clusterhat.version = '4.0': ",
        "a version is written as 2.3",
    ),
    "[power.clusterhat]\nversion = 2.3": ("power.clusterhat.version = 2.3: ", "valid string"),
    # of the whole: what does not go together
    'hub = "1-1"': ("hub and ports go together",),
    "ports = 4": ("hub and ports go together",),
    'hub = "1-1"\nports = 4\n' + SLOT: ("either hub and ports, or [[slots]]", "not both"),
    SLOT + SLOT.replace("1-1.1", "1-1.2"): ("two slots have the same name: a",),
    SLOT + SLOT.replace('"a"', '"b"'): ("two slots have the same location: 1-1.1",),
    SLOT + "number = 2\n" + SLOT.replace('"a"', '"b"').replace("1-1.1", "1-1.2"): (
        "two slots have the same number: 2",
    ),
    SLOT.replace('"a"', '"all"'): ("slots.0.name = 'all': this name is reserved",),
    SLOT.replace("1-1.1", "1.1-1"): ("'1.1-1' is no USB location; one looks like 1-1.2",),
    SLOT.replace("1-1.1", "1-1.01"): ("'1-1.01' is no USB location",),
    'hub = "the left one"\nports = 4': ("'the left one.1' is no USB location",),
    SLOT + "number = 5\n[limits]\nstagger = -1": ("limits.stagger = -1: must be a number above 0",),
    "[limits]\nattempts = 0": ("limits.attempts = 0: must be a number above 0",),
    "[limits]\npauses = [1, -1]": ("limits.pauses = [1, -1]: must be a number above 0",),
    'hub = "1-1"\nports = 4\nsubnet = "10.0.0.1/29"': ("10.0.0.0/29 has no room for slot 1",),
    'hub = "1-1"\nports = 4\nsubnet = "10.42.0.12/24"': ("10.42.0.12 is the head's own address",),
    'hub = "1-1"\nports = 4\nsubnet = "here"': (
        "'here': a subnet is written as the head's address in it: 10.42.0.1/24",
    ),
    'subnet = "10.42.0.0/24"': ("no machine can be 10.42.0.0; write 10.42.0.1/24 if the head is 10.42.0.1",),
    'subnet = "10.42.0.255/24"': ("no machine can be 10.42.0.255; write 10.42.0.1/24",),
    '[net]\nbridge = "a-name-that-is-too-long"': ("net.bridge = ", "an interface has at most 15 letters"),
    '[net]\nbridge = "br0\\n"': ("net.bridge = 'br0\\n': ", "an interface has at most 15 letters"),
    '[net]\ndomain = "Rack!"': ("net.domain = 'Rack!': ", "a domain has a-z, 0-9 and dashes between dots"),
    '[net]\nforward_chain = "inet filter"': ("net.forward_chain = ", "family, table and chain"),
    SLOT + "[power.gpio]\nlines = {b = 17}": ("power.gpio.lines: there is no slot 'b'; there is a",),
    '[power]\nbackend = "gpio"\n' + SLOT: ("power.gpio.lines has no line for a",),
    SLOT + 'power = "gpio"\n[power.gpio]\nlines = {}': ("power.gpio.lines has no line for a",),
    '[power]\nbackend = "command"\n[power.command]\non = ["x"]\n' + SLOT: ("power.command needs on and off",),
    TWO_SLOTS + "[power.gpio]\nlines = {gate = 4, worker-2 = 4}": (
        "power.gpio.lines: two slots have line 4",
    ),
}


@pytest.mark.parametrize(("text", "parts"), BAD.items(), ids=lambda value: str(value)[:40])
def test_what_cannot_be_used_is_told_in_one_line(path: Path, text: str, parts: tuple[str, ...]) -> None:
    said = complaint(path, text)
    assert "\n" not in said
    for part in parts:
        assert part in said


def test_every_fault_has_a_line_of_its_own(path: Path) -> None:
    said = complaint(path, 'hub = 1\n[mqtt]\nport = "x"\nprot = 1\n').splitlines()
    assert [line.partition(" ")[0] for line in said] == ["hub", "mqtt.port", "mqtt.prot:"]


@pytest.mark.parametrize(
    "text",
    [
        'subnet = "here"',
        "[limits]\nstagger = nan",
        "[limits]\npauses = [nan]",
        "[limits]\ncontrol_in = inf",
        "[limits]\nattempts = true",
        'hub = "1-1"\nports = true',
    ],
)
def test_what_would_fail_later_is_refused_now(path: Path, text: str) -> None:
    complaint(path, text)


def test_a_subnet_without_room_for_any_slot_is_refused_before_a_pi_is_met(path: Path) -> None:
    complaint(path, 'subnet = "10.0.0.1/29"')


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (SLOT.replace("1-1.1", "1.1"), "slots.0.location = '1.1': "),
        ('hub = "left"\nports = 4', "hub = 'left': "),
        (SLOT.replace('"a"', '"all"'), "slots.0.name = 'all': "),
        ("[limits]\nstagger = -1", "limits.stagger = -1"),
        ('hub = "1-1"\nports = 4\nsubnet = "here"', "subnet = 'here': "),
    ],
)
def test_the_line_names_key_and_value(path: Path, text: str, key: str) -> None:
    assert key in complaint(path, text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hub = ", "not valid TOML: "),
        ("hub = 1\nhub = 2\n", "not valid TOML: "),
        ('hub = "1-1', "not valid TOML: "),
        ("\x00", "not valid TOML: "),
    ],
)
def test_not_toml(path: Path, text: str, why: str) -> None:
    said = complaint(path, text)
    assert why in said
    assert "\n" not in said


def test_not_utf_8(path: Path) -> None:
    path.write_bytes(b'hub = "\xff"')
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(path, {})


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{path}: No such file.*; name a readable file with --config"):
        load(path, {})
    with pytest.raises(ConfigError, match=r"Is a directory"):
        load(path.parent, {})


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TERRIBLE_PROTS": "4"}, "environment: prots: unknown key"),
        ({"TERRIBLE_MQTT__PROT": "4"}, "environment: mqtt.prot: unknown key"),
        ({"TERRIBLE_MQTT__PORT": "many"}, "environment: mqtt.port = 'many'"),
        ({"TERRIBLE_NONSENSE__DEEP__DOWN": "4"}, "environment: nonsense: unknown key"),
        ({"TERRIBLE_": "4"}, "environment: '': unknown key"),
        ({"TERRIBLE_MQTT": "b"}, "environment: mqtt: "),
        ({"TERRIBLE_POWER__GPIO__PIN": "4"}, "environment: power.gpio.pin: unknown key; allowed here: chip"),
        ({"TERRIBLE_PORTS": "4"}, "environment: hub and ports go together"),
    ],
)
def test_bad_environment(environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}"):
        load(None, environment)


@pytest.mark.parametrize(
    "keys", [["TERRIBLE_MQTT", "TERRIBLE_MQTT__HOST"], ["TERRIBLE_MQTT__HOST", "TERRIBLE_MQTT"]]
)
def test_an_environment_that_contradicts_itself_is_a_fault_of_the_configuration(keys: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^environment: TERRIBLE_MQTT__HOST and TERRIBLE_MQTT contradict"):
        load(None, dict.fromkeys(keys, "a"))


def test_a_fault_of_the_environment_is_not_laid_to_the_file(path: Path) -> None:
    path.write_text("")
    with pytest.raises(ConfigError, match=r"^environment|TERRIBLE_MQTT__PORT"):
        load(path, {"TERRIBLE_MQTT__PORT": "many"})


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        (f'[mqtt]\npassword = "{SECRET}"', {}),
        ("", {"TERRIBLE_MQTT__PASSWORD": SECRET}),
        (f'[mqtt]\npassword = "{SECRET}"\nport = 0', {}),
        (f'[mqtt.password]\nvalue = "{SECRET}"', {}),
        (f'[mqtt.host]\nname = "h"\npassword = "{SECRET}"', {}),
        (f'[power.command]\non = "curl -u me:{SECRET} http://plug/on"', {}),
        (f'[power.command]\non = ["curl", "-u", "me:{SECRET}", "{{port}}"]', {}),
        (f'[power]\ncommand = "curl -u me:{SECRET}"', {}),
        ("", {"TERRIBLE_POWER__COMMAND__OFF": f"curl -u me:{SECRET}"}),
    ],
)
def test_no_secret_is_repeated(path: Path, text: str, environment: dict[str, str]) -> None:
    assert SECRET not in complaint(path, text, **environment)


@pytest.mark.parametrize(
    "text",
    [
        f'[[mqtt]]\npassword = "{SECRET}"',
        f'mqtt = "mqtt://me:{SECRET}@broker"',
        f'limits = "{SECRET}"',
        f'power = "mqtt://me:{SECRET}@plug"',
    ],
)
def test_no_secret_is_repeated_from_a_table_that_is_none(path: Path, text: str) -> None:
    assert SECRET not in complaint(path, text)


@pytest.mark.parametrize("key", [r"a\nb", r"\u001b[2J", r"\r\r"])
def test_a_key_cannot_break_the_line(path: Path, key: str) -> None:
    for text in (f'"{key}" = 1', f'[mqtt]\n"{key}" = 1', f'[power.gpio]\nlines = {{"{key}" = 1}}'):
        assert complaint(path, text).isprintable()


WORDS = st.text(st.characters(exclude_categories=("C", "Z")), max_size=5)
VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from([*Config.model_fields, "extra"])


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_values_make_a_configuration_or_a_complaint(values: dict[str, object]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(configfile, "_read", lambda _: values)
        try:
            config = load(Path("made"), {})
        except ConfigError as error:
            assert all(line.startswith("made: ") and line.isprintable() for line in str(error).splitlines())
        else:
            config.named_slots()


# -- as a process ---------------------------------------------------------------------------------------


def run(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TERRIBLE_")}
    command = [sys.executable, "-m", "terrible", "run", "--config", str(path)]
    return subprocess.run(
        command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_bad_configuration_ends_the_process_with_78_and_one_line_per_fault(path: Path) -> None:
    path.write_text(f'hubs = 4\n[mqtt]\nport = "x"\npassword = "{SECRET}"\n')
    ended = run(path, TERRIBLE_LIMITS__ATTEMPTS="many")
    assert ended.returncode == 78
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 4
    blamed = [line.split(": ")[1] for line in lines]
    assert sorted(blamed) == sorted([str(path)] * 3 + ["environment"])
    assert SECRET not in ended.stderr


@pytest.mark.parametrize("text", [None, "hub = ", 'hub = "1-1"\n'])
def test_no_usable_file_ends_the_process_with_78(path: Path, text: str | None) -> None:
    if text is not None:
        path.write_text(text)
    ended = run(path)
    assert ended.returncode == 78
    assert len(ended.stderr.splitlines()) == 1
    assert str(path) in ended.stderr


# -- the node network ---------------------------------------------------------------------------------


def test_the_network_is_there_without_a_word_about_it(path: Path) -> None:
    config = loaded(path, 'cluster = "rack"\nhub = "1-1"\nports = 4\n')
    assert config.net.enabled
    assert config.subnets == addresses.SUBNETS
    assert [slot.address for slot in config.named_slots()] == [f"10.42.0.{10 + n}" for n in (1, 2, 3, 4)]
    assert config.named_slots("10.43.0.1/24")[0].address == "10.43.0.11"


def test_a_subnet_that_is_set_is_the_only_one(path: Path) -> None:
    config = loaded(path, 'subnet = "192.168.9.1/24"\nhub = "1-1"\nports = 4\n')
    assert config.subnets == ("192.168.9.1/24",)
    config = loaded(path, 'subnet = "192.168.9.1/255.255.255.0"\nhub = "1-1"\nports = 4\n')
    assert config.subnets == ("192.168.9.1/24",), "as the kernel gives it back, or the network would differ"
    assert config.named_slots()[3].address == "192.168.9.14"


def test_all_of_the_network_can_be_set(path: Path) -> None:
    text = """
    hub = "1-1"
    ports = 2
    [net]
    bridge = "br-nodes"
    mtu = 9000
    domain = "rack.example"
    guests = "10.42.0.200-10.42.0.220"
    uplink = "wlan0"
    forwards = ["2202 -> node2:22"]
    forward_chain = "inet filter forward"
    gadget = "g_ncm"
    port = 22
    """
    config = loaded(path, text)
    assert config.net.parsed_forwards()[0].slot == "node2"
    assert config.subnets == ("10.42.0.1/24",), "the only one that has this range"
    assert {slot.gadget for slot in config.named_slots()} == {"g_ncm"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('bridge = "a-name-that-is-too-long"', "net.bridge"),
        ('bridge = "br 0"', "net.bridge"),
        ('bridge = "lo"', "no interface can be called that"),
        ("mtu = 100", "net.mtu"),
        ('domain = "Rack."', "net.domain"),
        ('guests = "10.42.0.9"', "a range is written 10.42.0.200-10.42.0.220"),
        ('guests = "10.42.0.20-10.42.0.10"', "a range is written 10.42.0.200-10.42.0.220"),
        ('guests = "10.99.0.1-10.99.0.9"', "this range is not inside the subnet"),
        ('forwards = ["22"]', "2202 -> node2:22"),
        ('forwards = ["99999 -> node1:22"]', "2202 -> node2:22"),
        ('forwards = ["2201 -> node1:22", "2201 -> node2:22"]', "port 2201 is forwarded twice"),
        ('forwards = ["2209 -> node9:22"]', "there is no slot node9"),
        ('forward_chain = "inet; drop"', "net.forward_chain"),
        ('gadget = "g_zero"', "net.gadget"),
        ("port = 0", "net.port"),
        ("enabled = 1", "net.enabled"),
        ('brdge = "x"', "net.brdge: unknown key"),
    ],
)
def test_a_network_that_cannot_be_is_one_line(path: Path, line: str, said: str) -> None:
    told = complaint(path, f'hub = "1-1"\nports = 2\n[net]\n{line}\n')
    assert said in told
    assert told.count("\n") == 0
