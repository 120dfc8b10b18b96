"""Captions as people bring them: read exactly, or refused by file, line and picture."""

from __future__ import annotations

import json

import pytest
from sqlmodel import Session

from storage import captions, orders
from storage.captions import CaptionsRefused, of_lines, of_metadata
from storage.database import Database
from storage.domain.errors import OrderRefused
from storage.domain.orders import SubjectType
from tests.storage.making import draft

NAMES = ("a.jpg", "b: two.jpg", "a.jpg.png")


def lines(*entries: object) -> bytes:
    return "\n".join(json.dumps(e) for e in entries).encode()


def test_metadata_is_read_with_the_names_that_people_use() -> None:
    data = lines(
        {"file_name": "1.jpg", "text": "a cat\n"},
        {"file_name": "2.jpg", "caption": "größer", "x": 1},
        {"file_name": "3.jpg", "prompt": ""},
    )
    read = of_metadata(b"\xef\xbb\xbf" + data + b"\n\n")
    assert read.captions == {"1.jpg": "a cat", "2.jpg": "größer", "3.jpg": ""}
    assert read.empty == ("3.jpg",)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("größer".encode("latin-1"), r"metadata\.jsonl is not written in UTF-8 \(byte 2\)"),
        ("a".encode("utf-16"), "not written in UTF-8"),
        (b"a\0b", "holds zero bytes: it is no text, or not written in UTF-8"),
        (b'[\n {"file_name": "a.jpg", "text": "x"}\n]', "line 1 is no JSON by itself: the file is one JSON text"),
        (lines({"file_name": "../a.jpg", "text": "x"}), r"names \.\./a\.jpg; pictures lie beside the file"),
        (lines({"file_name": "/etc/a.jpg", "text": "x"}), "write the name without folders"),
        (lines({"file_name": "images/a.jpg", "text": "x"}), "write the name without folders"),
        (lines({"file_name": "images\\a.jpg", "text": "x"}), "write the name without folders"),
        (b"{oops", "line 1 is no JSON"),
        (b"[" * 100_000, "line 1 is no JSON"),
        (b'["a.jpg", "x"]', "line 1 has no file_name"),
        (lines({"file_name": "a.jpg"}), r"line 1 has no text for a\.jpg"),
        (lines({"file_name": "a.jpg", "text": "x"}, {"file_name": "a.jpg", "text": "y"}), "line 2 names a.jpg a second time"),
        (b"x" * (captions.MAX_BYTES + 1), "larger than 1 MiB"),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_used_is_refused_by_line(data: bytes, says: str) -> None:
    with pytest.raises(CaptionsRefused, match=says):
        of_metadata(data)


def test_only_a_line_feed_ends_a_line() -> None:
    text = '{"file_name": "./1.jpg", "text": "one\u2028two\u0085three"}\r\n\r\n{"file_name": "2.jpg", "text": "x"}\r'
    assert of_metadata(text.encode()).captions == {"1.jpg": "one two three", "2.jpg": "x"}
    assert of_lines("#1: on\u2028grass\r\n#2: x\x0by", NAMES).captions == {"a.jpg": "on grass", "b: two.jpg": "x y"}


@pytest.mark.parametrize(("name", "near"), [("A.JPG", "a.jpg"), ("a.jpeg", "a.jpg"), ("unlike", "")])
def test_the_name_that_may_be_meant_is_said(name: str, near: str) -> None:
    read = of_metadata(lines({"file_name": name, "text": "x"}))
    with pytest.raises(CaptionsRefused, match=f"{near} is near to it" if near else r"no such picture\.$"):
        captions.refuse_strangers(read, NAMES, "metadata.jsonl")


def test_a_caption_for_a_missing_picture_is_refused_by_name() -> None:
    with pytest.raises(
        CaptionsRefused, match=r"metadata\.jsonl has a caption for z\.jpg, and there is no such picture"
    ):
        captions.refuse_strangers(of_metadata(lines({"file_name": "z.jpg", "text": "x"})), NAMES, "metadata.jsonl")


def test_lines_find_their_picture_by_number_or_name() -> None:
    text = "#1 a.jpg: on grass\n\nb: two.jpg: a cat: asleep\n#3: \n"
    read = of_lines(text, NAMES)
    assert read.captions == {"a.jpg": "on grass", "b: two.jpg": "a cat: asleep", "a.jpg.png": ""}
    assert of_lines("#2 renamed: it sits", NAMES).captions == {"b: two.jpg": "it sits"}
    for wrong, says in (
        ("#4 x: y", "line 1 is for picture #4"),
        ("hello", "line 1 names no picture"),
        ("#1: x\n#1: y", "line 2 is for a.jpg"),
    ):
        with pytest.raises(CaptionsRefused, match=says):
            of_lines(wrong, NAMES)


async def test_captions_are_written_to_pictures_and_read_back_until_start(database: Database) -> None:
    def check(session: Session) -> None:
        order = draft(session)
        changed = captions.write_captions(
            session, order.id, {"1.png": "a drawn cat", "2.png": "", "9.png": "x"}, "owner"
        )
        assert [(p.source_name, p.caption_from) for p in changed] == [("1.png", "owner"), ("2.png", "")]
        rows = orders.pictures_of(session, order.id)
        assert of_lines(captions.as_lines(rows), [p.source_name for p in rows]).captions["1.png"] == "a drawn cat"
        assert captions.spoilt(session, order.id, SubjectType.STYLE, "zorvex") == [("1.png", ("drawn",))]
        order.stage = "queued"
        session.flush()
        with pytest.raises(OrderRefused):
            captions.write_captions(session, order.id, {}, "owner")

    await database.transact(check)
