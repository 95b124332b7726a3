"""Which machines give session tokens, by what their owners chose."""

from __future__ import annotations

import pytest

from emulator.dialects import gives_tokens
from emulator.dialects.base import SessionPolicy
from emulator.dialects.ec2 import rules
from emulator.model.instance import Instance
from tests.support.guest import machine


@pytest.mark.parametrize(
    ("dialects", "gives"),
    [
        ("[openstack, nocloud, kubevirt]", False),
        ("[ec2]", True),
        ("{ec2: {endpoint: off}}", False),
        ("{ec2: {endpoint: off}, kubevirt: {tokens: optional}}", True),
        ("{kubevirt: {tokens: required}}", True),
    ],
)
def test_a_machine_gives_tokens_where_one_of_its_trees_does(dialects: str, *, gives: bool) -> None:
    assert gives_tokens(machine(f"name: vm\ndialects: {dialects}")) is gives


def test_a_dialect_with_such_a_policy_gives_tokens_unless_it_says_otherwise() -> None:
    assert SessionPolicy().gives_tokens


def test_a_machine_without_the_section_has_no_mistakes_in_it() -> None:
    assert list(rules.mistakes(Instance(name="vm"))) == []
