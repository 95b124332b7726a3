"""What a guest says of itself is kept within bounds, and nothing is counted wrong."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from emulator.core import written as module
from emulator.core.refusal import Refusal
from emulator.core.written import (
    MOST_CHARACTERS,
    MOST_IN_ALL,
    MOST_TEXTS,
    PER_SECOND,
    Written,
)
from tests.support.ports import FakePorts


@pytest.fixture
def written(fake_ports: FakePorts) -> Written:
    return Written(fake_ports.ports)


class Patient:
    """Writes at the pace that is allowed."""

    def __init__(self) -> None:
        self.ports = FakePorts()
        self.written = Written(self.ports.ports)

    def write(self, name: str, value: str | None) -> Refusal | None:
        self.ports.advance(1)
        return self.written.write(name, value)


@pytest.fixture
def patient() -> Patient:
    return Patient()


def test_texts_are_written_replaced_and_removed(written: Written) -> None:
    assert dict(written.texts) == {}
    assert written.write("b", "1") is None
    assert written.write("a", "2") is None
    assert list(written.texts.items()) == [("a", "2"), ("b", "1")]
    assert written.write("b", "") is None
    assert dict(written.texts) == {"a": "2", "b": ""}
    assert written.write("a", None) is None
    assert written.write("a", None) is Refusal.NOT_FOUND
    assert dict(written.texts) == {"b": ""}


def test_texts_that_were_given_do_not_change_later(written: Written) -> None:
    written.write("a", "1")
    before = written.texts
    written.write("a", "2")
    assert dict(before) == {"a": "1"}


def test_only_what_changes_something_counts(written: Written) -> None:
    for name, value, changes in (
        ("a", "1", 1),
        ("a", "1", 1),
        ("b", None, 1),
        ("b", "x" * (MOST_CHARACTERS + 1), 1),
        ("a", "2", 2),
        ("a", None, 3),
    ):
        written.write(name, value)
        assert written.changes == changes


def test_a_text_has_a_length(patient: Patient) -> None:
    assert patient.write("a", "ü" * MOST_CHARACTERS) is None
    assert patient.write("a", "x" * (MOST_CHARACTERS + 1)) is Refusal.BAD_BODY
    assert patient.written.texts["a"] == "ü" * MOST_CHARACTERS


def test_texts_have_a_number(patient: Patient) -> None:
    for number in range(MOST_TEXTS):
        assert patient.write(str(number), "") is None
    assert patient.write("more", "") is Refusal.BAD_BODY
    assert patient.write("0", "replaced") is None
    assert patient.write("1", None) is None
    assert patient.write("more", "") is None
    assert len(patient.written.texts) == MOST_TEXTS


def test_texts_have_a_length_in_all_with_their_names(patient: Patient) -> None:
    whole = MOST_IN_ALL // MOST_CHARACTERS
    for number in range(whole):
        name = f"{number:02}"
        assert patient.write(name, "x" * (MOST_CHARACTERS - 2)) is None
    assert patient.write("", "x") is Refusal.BAD_BODY
    assert patient.write("00", "x" * (MOST_CHARACTERS - 1)) is Refusal.BAD_BODY
    assert patient.write("00", "x" * (MOST_CHARACTERS - 3)) is None
    assert patient.write("", "x") is None
    assert patient.write("01", None) is None
    assert patient.write("01", "y" * (MOST_CHARACTERS - 2)) is None


def test_writes_have_a_pace_that_what_is_refused_counts_towards(
    written: Written, fake_ports: FakePorts
) -> None:
    for number in range(PER_SECOND):
        assert written.write("a", None if number % 2 else "x") is None
    for _ in range(3):
        assert written.write("a", "x") is Refusal.THROTTLED
        assert written.write("a", None) is Refusal.THROTTLED
    fake_ports.advance(0.25)
    assert written.write("none", None) is Refusal.NOT_FOUND
    assert written.write("a", "x" * (MOST_CHARACTERS + 1)) is Refusal.BAD_BODY
    assert written.write("a", "x") is Refusal.THROTTLED
    # Who was quiet for long saves up no more than a second's worth.
    fake_ports.advance(3600)
    found = [written.write("a", "x") for _ in range(PER_SECOND + 1)]
    assert found == [None] * PER_SECOND + [Refusal.THROTTLED]


class Model(RuleBasedStateMachine):
    """Small bounds, so that all of them are met; what is kept is what a plain dict says."""

    BOUNDS = (("MOST_TEXTS", 4), ("MOST_CHARACTERS", 6), ("MOST_IN_ALL", 20))

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, value in self.BOUNDS:
            self.patch.setattr(module, name, value)
        self.ports = FakePorts()
        self.written = Written(self.ports.ports)
        self.kept: dict[str, str] = {}
        self.changes = 0

    def teardown(self) -> None:
        self.patch.undo()

    @rule(name=st.text("abü", max_size=4), value=st.none() | st.text("xyü", max_size=8))
    def write(self, name: str, value: str | None) -> None:
        self.ports.advance(1)
        wanted = {**self.kept, name: value}
        texts = {key: text for key, text in wanted.items() if text is not None}
        expected = None
        if value is None and name not in self.kept:
            expected = Refusal.NOT_FOUND
        elif value is not None and (
            len(texts) > 4
            or len(value) > 6
            or sum(len(key) + len(text) for key, text in texts.items()) > 20
        ):
            expected = Refusal.BAD_BODY
        assert self.written.write(name, value) is expected
        if expected is None:
            self.changes += self.kept != texts
            self.kept = texts

    @invariant()
    def is_what_the_model_says(self) -> None:
        assert list(self.written.texts.items()) == sorted(self.kept.items())
        assert self.written.changes == self.changes
        size = sum(len(key) + len(text) for key, text in self.kept.items())
        assert self.written._size == size <= 20


TestModel = Model.TestCase


class Pace(RuleBasedStateMachine):
    """However time goes by, no second sees more writes than a burst and its share."""

    def __init__(self) -> None:
        super().__init__()
        self.ports = FakePorts()
        self.ports.now = 0.0
        self.written = Written(self.ports.ports)
        self.taken = 0

    @rule(quarters=st.integers(0, 8), tries=st.integers(1, 12))
    def write(self, quarters: int, tries: int) -> None:
        self.ports.advance(quarters / 4)
        for _ in range(tries):
            self.taken += self.written.write("a", "x") is None

    @invariant()
    def is_not_exceeded(self) -> None:
        assert self.taken <= PER_SECOND * (1 + self.ports.now)


TestPace = Pace.TestCase
