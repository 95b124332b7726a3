from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.boot import names
from emulator.boot.names import Names
from tests.boot.packets import query, wire

HOST = "metadata.google.internal"
ALONE = Names(frozenset({HOST, "metadata"}), "169.254.169.254", alone=True)
BESIDE = Names(ALONE.hosts, ALONE.address, alone=False)
RECORD = bytes.fromhex("c00c 0001 0001 0000012c 0004 a9fea9fe")
NO_SUCH_NAME = 3
A, SOA, AAAA, DS, ANY = 1, 6, 28, 43, 255


def head(answer: bytes) -> tuple[int, int, int, int]:
    """Give number and flags of an answer, and how many answers and extras it has."""
    number, flags, questions, answers, authorities, extras = struct.unpack(">HHHHHH", answer[:12])
    assert (questions, authorities) == (1, 0)
    return number, flags, answers, extras


@pytest.mark.parametrize("all_names", [ALONE, BESIDE])
@pytest.mark.parametrize("name", [HOST, f"{HOST}.", "Metadata.GOOGLE.internal", "metadata"])
def test_our_names_have_the_metadata_address(all_names: Names, name: str) -> None:
    answer = all_names.answer(query(name))
    assert head(answer) == (0x1234, 0x8580, 1, 0)
    # The question is repeated as it was written.
    assert answer[12:] == wire(name) + b"\0\x01\0\x01" + RECORD


@pytest.mark.parametrize("kind", [SOA, AAAA, DS])
@pytest.mark.parametrize("all_names", [ALONE, BESIDE])
def test_our_names_have_nothing_else(all_names: Names, kind: int) -> None:
    answer = all_names.answer(query(HOST, kind))
    assert head(answer) == (0x1234, 0x8580, 0, 0)
    assert answer[12:] == query(HOST, kind)[12:]


def test_who_asks_for_anything_gets_the_address() -> None:
    assert ALONE.answer(query(HOST, ANY)).endswith(RECORD)


def test_another_class_has_nothing() -> None:
    chaos = query(HOST)[:-1] + b"\x03"
    assert head(ALONE.answer(chaos)) == (0x1234, 0x8580, 0, 0)


@pytest.mark.parametrize("name", ["example.com", f"www.{HOST}", "xmetadata", "google.internal.x"])
def test_other_names_do_not_exist_where_we_are_alone(name: str) -> None:
    assert head(ALONE.answer(query(name))) == (0x1234, 0x8580 | NO_SUCH_NAME, 0, 0)
    assert BESIDE.answer(query(name)) == b""


@pytest.mark.parametrize("name", ["google.internal", "internal", "."])
def test_what_is_above_our_names_exists(name: str) -> None:
    assert head(ALONE.answer(query(name, DS))) == (0x1234, 0x8580, 0, 0)
    assert BESIDE.answer(query(name)) == b""


def test_a_dot_within_a_label_separates_nothing() -> None:
    odd = query("x").replace(wire("x"), b"\x0fmetadata.google\x08internal\0")
    assert head(ALONE.answer(odd))[1] & 15 == NO_SUCH_NAME


def test_who_speaks_edns_is_answered_so() -> None:
    answer = ALONE.answer(query(HOST, edns=True))
    assert head(answer) == (0x1234, 0x8580, 1, 1)
    assert answer.endswith(RECORD + bytes.fromhex("00 0029 04d0 00000000 0000"))


def test_flags_of_the_question_that_are_kept() -> None:
    assert head(ALONE.answer(query(HOST, flags=0)))[1] == 0x8480
    assert head(ALONE.answer(query(HOST, flags=0x0110)))[1] == 0x8590


@pytest.mark.parametrize(
    "message",
    [
        b"",
        query(HOST)[:11],
        query(HOST)[:20],
        query(HOST)[:-1],
        query(HOST, flags=0x8180),
        query(HOST, flags=0x2800),
        query(HOST)[:5] + b"\2" + query(HOST)[6:],
        query(HOST)[:7] + b"\1" + query(HOST)[8:],
        # Pointers: to itself, into the header, and behind a label.
        query("").replace(b"\0\0\1\0\1", b"\xc0\x0c\0\1\0\1"),
        query("")[:12] + b"\xc0\x04\0\1\0\1",
        query("")[:12] + b"\x01a\xc0\x0c\0\1\0\1",
        query(".".join(["a" * 63] * 5)),
    ],
)
def test_mistakes_get_no_answer(message: bytes) -> None:
    assert ALONE.answer(message) == b""


@given(st.binary(max_size=300))
def test_no_message_is_too_odd(message: bytes) -> None:
    ALONE.answer(message)
    answer = ALONE.answer(query("")[:12] + message)
    assert not answer or (answer[:2] == b"\x12\x34" and answer[2] & 0x80)


labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=63)


@given(st.lists(labels, min_size=1, max_size=3), st.integers(0, 0xFFFF), st.booleans())
def test_every_name_is_read_as_it_was_written(parts: list[str], kind: int, edns: bool) -> None:  # noqa: FBT001
    name = ".".join(parts)
    question = names.read(query(name, kind, edns=edns))
    assert question is not None
    assert (question.name, question.type, question.edns) == (name, kind, edns)
