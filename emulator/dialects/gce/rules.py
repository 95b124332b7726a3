"""The mistakes that only Google's dialect can find in a description."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.dialects.gce.section import Gce
from emulator.model import accounts
from emulator.model.instance import Instance
from emulator.model.mistake import Mistake, again


def mistakes(instance: Instance) -> Iterator[Mistake]:
    """Give the mistakes in the ``gce:`` section of ``instance``."""
    section = instance.sections.get("gce")
    if not isinstance(section, Gce):
        return
    audiences = {token.audience for token in instance.tokens}
    names = []
    for index, account in enumerate(section.service_accounts):
        path = f"gce.service_accounts[{index}]"
        yield from accounts.mistakes(account, audiences, path)
        given = [(f"{path}.email", account.email)] if account.email else []
        names += given + [
            (f"{path}.aliases[{at}]", alias) for at, alias in enumerate(account.aliases)
        ]
        if "default" in account.aliases[: len(account.aliases) if index else 0]:
            at = account.aliases.index("default")
            yield Mistake.at(f"{path}.aliases[{at}]", "default", "another name: the first has it")
    yield from again(names, "each address and alias once")
