"""Answers a guest's DNS questions for the names of the metadata address.

A question has one name, and nothing before it that a compressed one could point to: a pointer in
it is a mistake, and mistakes get no answer. That a name is written with a final dot or in
capitals makes no difference here; its question is repeated as it came.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Collection

import msgspec

_HEAD = struct.Struct(">HHHHHH")
_QUESTION = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")
_LONGEST_LABEL = 63
_LONGEST_NAME = 255
_A, _ANY, _IN = 1, 255, 1
# Of flags: what must be 0 in a question (answer, operation), what is kept (recursion desired,
# checking disabled), and what is set: an answer, with authority, by one that looks further.
_MUST_BE_CLEAR, _KEPT, _SET = 0xF800, 0x0110, 0x8480
_NO_SUCH_NAME = 3
_LIFETIME = 300
_FIRST_NAME = b"\xc0\x0c"
# What asks by EDNS's rules is answered by them: its pseudo-record, for messages of 1232 bytes.
_EDNS = bytes.fromhex("00 0029")
_OUR_EDNS = _EDNS + bytes.fromhex("04d0 00000000 0000")


class Question(msgspec.Struct, frozen=True):
    """What is asked: a name in lower case without its final dot, and the type of its records.

    ``text`` is the question as it came, ``edns`` whether it follows EDNS's rules.
    """

    number: int
    flags: int
    name: str
    type: int
    zone: int
    text: bytes
    edns: bool


class Names(msgspec.Struct, frozen=True):
    """The ``hosts`` that are found at the IPv4 ``address``.

    ``alone`` says that no other name exists: an answer that says so is what a guest without a way
    out goes on after at once, where silence costs it its resolver's patience, ten seconds a name.
    Otherwise somebody else answers for other names.
    """

    hosts: frozenset[str]
    address: str
    alone: bool

    def answer(self, message: bytes) -> bytes:
        """Give the answer to ``message``, empty where it gets none."""
        question = read(message)
        if question is None:
            return b""
        if question.name in self.hosts:
            asked = question.type in {_A, _ANY} and question.zone in {_IN, _ANY}
            return _reply(question, 0, self._records() if asked else ())
        if not self.alone:
            return b""
        # A name above one of ours exists, though it has nothing.
        above = any(host.endswith(f".{question.name}") for host in self.hosts)
        return _reply(question, 0 if above or not question.name else _NO_SUCH_NAME)

    def _records(self) -> tuple[bytes]:
        address = ipaddress.IPv4Address(self.address).packed
        return (_FIRST_NAME + _RECORD.pack(_A, _IN, _LIFETIME, len(address)) + address,)


def read(message: bytes) -> Question | None:
    """Give the question that ``message`` asks, None if it is anything else."""
    if len(message) < _HEAD.size:
        return None
    number, flags, questions, answers, authorities, extras = _HEAD.unpack_from(message)
    if flags & _MUST_BE_CLEAR or (questions, answers, authorities) != (1, 0, 0):
        return None
    labels, end = _labels(message)
    if not end or len(message) < end + _QUESTION.size:
        return None
    kind, zone = _QUESTION.unpack_from(message, end)
    end += _QUESTION.size
    return Question(
        number=number,
        flags=flags,
        name=b".".join(labels).lower().decode("latin-1"),
        type=kind,
        zone=zone,
        text=message[_HEAD.size : end],
        edns=extras > 0 and message[end : end + len(_EDNS)] == _EDNS,
    )


def _labels(message: bytes) -> tuple[list[bytes], int]:
    """Give the labels of the first name and where it ends, 0 if it is malformed."""
    labels: list[bytes] = []
    at = _HEAD.size
    while at < min(len(message), _HEAD.size + _LONGEST_NAME):
        size = message[at]
        if not size:
            return labels, at + 1
        if size > _LONGEST_LABEL:
            break
        labels.append(message[at + 1 : at + 1 + size].replace(b".", rb"\."))
        at += 1 + size
    return [], 0


def _reply(question: Question, code: int, records: Collection[bytes] = ()) -> bytes:
    flags = _SET | question.flags & _KEPT | code
    head = _HEAD.pack(question.number, flags, 1, len(records), 0, question.edns)
    return head + question.text + b"".join(records) + (_OUR_EDNS if question.edns else b"")
