from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.boot import frames
from emulator.boot.frames import Datagram
from emulator.boot.lease import with_name_server
from tests.boot.packets import lease, udp

ADDRESS = bytes((169, 254, 1, 3))
# Kind, server, mask, a pad, and the end.
QEMUS = "350102 3604a9fe0101 0104ffff0000 00 ff"


def offer(data: bytes, port: int = 67) -> Datagram:
    found = frames.read(udp(data, to_port=68, from_port=port))
    assert found is not None
    return found


def test_a_lease_without_a_name_server_gets_one() -> None:
    before = lease(QEMUS)
    after = with_name_server(offer(before), ADDRESS)
    assert after == lease("350102 3604a9fe0101 0104ffff0000 00 0604a9fe0103 ff", 54)
    assert len(after) == len(before)


@pytest.mark.parametrize(
    ("data", "port"),
    [
        (lease("350102 0604a9fe0909 ff"), 67),  # has one
        (lease(QEMUS, 5), 67),  # no room
        (lease(QEMUS, 5) + b"used" * 4, 67),
        (lease("350102"), 67),  # no end
        (lease("3501"), 67),
        (lease(""), 67),
        (lease(QEMUS)[:200], 67),
        (bytes(300), 67),  # something else
        (b"", 67),
        (lease(QEMUS), 53),
    ],
)
def test_other_messages_stay_as_they_are(data: bytes, port: int) -> None:
    assert with_name_server(offer(data, port), ADDRESS) == b""


@given(st.binary(max_size=80), st.integers(0, 20))
def test_no_lease_is_too_odd(options: bytes, room: int) -> None:
    data = lease("")[:240] + options + bytes(room)
    after = with_name_server(offer(data), ADDRESS)
    assert len(after) in {0, len(data)}
