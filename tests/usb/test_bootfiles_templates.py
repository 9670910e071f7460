"""Templates: the slot's values, and every mistake told before a node boots."""

from __future__ import annotations

import asyncio
import hashlib
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrible.errors import BootError, Code
from terrible.model import Location, Slot
from terrible.usb.bootfiles import BootFiles, Found, Missing, Roots
from terrible.usb.templates import VARIABLES, check_content, check_template, templates_below

SLOT = Slot("node7", 7, Location("1-1.7"), "02:aa:00:00:00:07", "06:aa:00:00:00:07", "10.42.0.17", "lab")
SERVED = Slot("p1-1-2", 1, Location("1-1.2"), "02:aa:00:00:00:01", "06:aa:00:00:00:01")


def find(base: Path, name: str, slot: Slot = SLOT) -> Found | Missing:
    return asyncio.run(BootFiles(Roots(base), [SLOT], "demo").find(slot, "2710", name))


def test_a_template_is_rendered_with_the_values_of_the_slot(tmp_path: Path) -> None:
    every = " ".join(f"{key}=${{{key}}}" for key in VARIABLES)
    (tmp_path / "cmdline.txt.template").write_text(f"{every} $name cost=$$5 größe\r\n")
    found = find(tmp_path, "cmdline.txt")
    assert isinstance(found, Found)
    assert found.content.decode() == (
        "name=node7 number=7 location=1-1.7 mac=02:aa:00:00:00:07 host_mac=06:aa:00:00:00:07 "
        "address=10.42.0.17 cluster=demo profile=lab gadget=g_ether first_boot= node7 cost=$5 größe\r\n"
    )
    assert (found.name, found.layer) == ("cmdline.txt", "base")
    assert found.digest.known == hashlib.sha256(found.content).hexdigest()


def test_every_slot_gets_its_own(tmp_path: Path) -> None:
    (tmp_path / "hostname.template").write_text("${name}/${address}")
    assert find(tmp_path, "hostname").content == b"node7/10.42.0.17"
    assert find(tmp_path, "hostname", SERVED).content == b"p1-1-2/"


def test_in_one_layer_the_plain_file_comes_first_but_a_higher_template_before_it(tmp_path: Path) -> None:
    (tmp_path / "config.txt").write_text("plain")
    (tmp_path / "config.txt.template").write_text("${name}")
    assert find(tmp_path, "config.txt").content == b"plain"
    (tmp_path / "node7").mkdir()
    (tmp_path / "node7" / "config.txt.template").write_text("own ${name}")
    assert find(tmp_path, "config.txt").content == b"own node7"


def test_an_empty_template_hides_like_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "config.txt").write_text("plain")
    (tmp_path / "node7").mkdir()
    (tmp_path / "node7" / "config.txt.template").write_text("")
    assert find(tmp_path, "config.txt") == Missing("config.txt", ("node7",), "node7")


def test_a_template_asked_for_by_its_full_name_is_rendered_too(tmp_path: Path) -> None:
    (tmp_path / "config.txt.template").write_text("${name}")
    assert find(tmp_path, "config.txt.template").content == b"node7"


@pytest.mark.parametrize("content", [b"a\n${hostname}", b"${name", b"5$", b"${}", b"\xff", b"x" * 65537])
def test_a_mistake_fails_the_slot_and_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cmdline.txt.template").write_bytes(content)
    with pytest.raises(BootError, match=r"base/cmdline\.txt\.template: ") as caught:
        find(tmp_path, "cmdline.txt")
    assert caught.value.problem.code is Code.BAD_TEMPLATE


def test_an_unknown_variable_is_named_with_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "cmdline.txt.template").write_text("${name}\n\n${hostname}")
    with pytest.raises(
        BootError, match=r"line 3: unknown variable \$\{hostname\}; known are name, .*profile"
    ):
        find(tmp_path, "cmdline.txt")


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", []),
        ("nothing special", []),
        ("$$ ${name} $$$name $${nothing}", []),
        (
            "${nothing}\n$nothing",
            ["line 1: unknown variable ${nothing}", "line 2: unknown variable ${nothing}"],
        ),
        ("\n\n$1", ["line 3: a dollar sign"]),
        ("${name", ["line 1: a dollar sign"]),
        ("${NAME}", ["line 1: unknown variable ${NAME}"]),
        ("$number.txt", []),
    ],
)
def test_check_finds_every_mistake(text: str, problems: list[str]) -> None:
    found = check_template(text)
    assert len(found) == len(problems)
    assert all(line.startswith(start) for line, start in zip(found, problems, strict=True))


@settings(deadline=None)
@given(st.text(alphabet=string.ascii_lowercase + "${}\n _1") | st.text())
def test_what_passes_the_check_renders(text: str) -> None:
    if not check_template(text):
        string.Template(text).substitute(dict.fromkeys(VARIABLES, ""))


def test_what_is_no_text_is_found() -> None:
    assert check_content(b"ok \xff") == ["not UTF-8 text: byte 3 is 0xff"]


def test_all_templates_below_the_roots_are_listed_once(tmp_path: Path) -> None:
    base, elsewhere = tmp_path / "base", tmp_path / "nfs" / "p1"
    for path in (
        base / "config.txt.template",
        base / "2711" / "deep" / "x.template",
        base / "profiles" / "lab" / "y.template",
        elsewhere / "cmdline.txt.template",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (base / "node1").symlink_to("../nfs/p1")
    (base / "1-1.1").symlink_to("node1")
    (base / "loop").symlink_to(".")
    (base / "dir.template").mkdir()
    (base / "dangling.template").symlink_to("nothing")
    roots = Roots(base, tmp_path / "nothing")
    listed = [path.relative_to(base) for path in templates_below(*roots.directories())]
    assert sorted(map(str, listed)) == [
        "1-1.1/cmdline.txt.template",
        "2711/deep/x.template",
        "config.txt.template",
        "profiles/lab/y.template",
    ]
