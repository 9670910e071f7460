"""Bmaps of every version are understood, bmaptool's own too; damaged ones are refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrible.storage.faults import ImageError
from terrible.storage.writing.bmap import Bmap, Mapped, parse

from . import contents

OLD = """<bmap version="{version}"><ImageSize> 10000 </ImageSize><BlockSize>4096</BlockSize>{kind}
<BlockMap><Range {digest}> 0 </Range><Range> 2 - 2 </Range></BlockMap></bmap>"""
SHA1 = "c" * 40


@pytest.mark.parametrize(
    ("version", "digest", "kind"),
    [("1.0", "", ""), ("1.1", "", ""), ("1.2", f'sha1="{SHA1}"', "sha1")],
)
def test_old_versions(version: str, digest: str, kind: str) -> None:
    told = parse(OLD.format(version=version, digest=digest, kind="").encode())
    assert told == Bmap(10000, (Mapped(0, 4096, SHA1 if digest else ""), Mapped(8192, 10000)), kind)
    assert told.mapped == 4096 + 1808


def test_a_digest_of_itself_in_1_3() -> None:
    own = "<BmapFileSHA1>{}</BmapFileSHA1>"
    text = OLD.format(version="1.3", digest=f'sha1="{SHA1}"', kind=own.format("0" * 40))
    digest = hashlib.sha1(text.encode()).hexdigest()
    assert parse(text.replace("0" * 40, digest).encode()).kind == "sha1"
    with pytest.raises(ImageError, match="the digest that it tells of itself"):
        parse(text.replace("0" * 40, digest).replace("10000", "10001").encode())


def _with(**changes: str) -> bytes:
    fields = {"version": "1.0", "size": "8192", "block": "4096", "range": "0-1", **changes}
    return (
        '<bmap version="{version}"><ImageSize>{size}</ImageSize><BlockSize>{block}</BlockSize>'
        "<BlockMap><Range>{range}</Range></BlockMap></bmap>"
    ).format(**fields).encode()  # fmt: skip


_UTF_16 = '<?xml version="1.0" encoding="utf-16"?>'


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no XML",
        b"<bmap/>",
        b"<other version='1.0'/>",
        b"<!DOCTYPE bmap [<!ENTITY a 'b'>]>" + _with(),
        (_UTF_16 + "<!DOCTYPE bmap [<!ENTITY a '4096'>]>" + _with(block="&a;").decode()).encode("utf-16"),
        _with(version="3.0"),
        _with(version="x"),
        _with(size="0"),
        _with(size=""),
        _with(block="1000"),
        _with(block="0"),
        _with(range="0-2"),
        _with(range="1-0"),
        _with(range="-1"),
        _with(range="0-1</Range><Range>1"),
        _with(range="1</Range><Range>0"),
        _with(range="1"),
        _with().replace(b"<Range>0-1</Range>", b""),
        _with(version="2.0"),
    ],
)
def test_what_is_refused(text: bytes) -> None:
    assert parse(_with())
    with pytest.raises(ImageError):
        parse(text)


@pytest.mark.parametrize("what", ["version", "size", "range"])
def test_what_is_wrong_with_it_is_said_shortly(what: str) -> None:
    with pytest.raises(ImageError) as refused:
        parse(_with(**{what: "x" * 5_000_000}))
    assert len(str(refused.value)) < 300


def _attributes(count: int) -> bytes:
    return b"<a %s/>" % b" ".join(b"a%d='1'" % number for number in range(count))


@pytest.mark.parametrize(
    "inside", [b"<a/>" * 1_000_000, b"<a>" * 500_000 + b"</a>" * 500_000, _attributes(500_000)]
)
def test_xml_that_is_little_on_disk_is_not_much_in_memory(inside: bytes) -> None:
    text = _with().replace(b"<BlockMap>", inside + b"<BlockMap>")
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="too long"):
            parse(text)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@given(st.binary() | st.text().map(str.encode))
def test_nothing_but_an_image_error(text: bytes) -> None:
    with pytest.raises(ImageError):
        parse(text)


@pytest.mark.skipif(
    not shutil.which("bmaptool") and os.environ.get("REQUIRE_ALL") != "1", reason="bmaptool is not installed"
)
def test_what_bmaptool_writes(tmp_path: Path) -> None:
    whole = contents.content(5 * contents.MB + 512)
    image = contents.sparse(tmp_path / "card.img", whole)
    made = subprocess.run(["bmaptool", "create", image], check=True, capture_output=True)
    told = parse(made.stdout)
    assert told.size == len(whole)
    assert told.kind == "sha256"
    mapped = bytearray(len(whole))
    for one in told.ranges:
        mapped[one.start : one.end] = whole[one.start : one.end]
        assert hashlib.sha256(whole[one.start : one.end]).hexdigest() == one.digest
    assert mapped == whole
    assert told.mapped < len(whole)
