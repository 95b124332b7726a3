"""The fleet's policy (``serve --imdsv2 FILE``): what may stand in it, and whom it exempts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated

from msgspec import Meta

from emulator.errors import ConfigError
from emulator.migration.canary import CanaryPolicy
from emulator.migration.modes import Mode
from emulator.model.decode import BROKEN, Decoder, Outside, type_info
from emulator.model.document import quoted
from emulator.model.instance import Instance
from emulator.model.network import Value
from emulator.sources.compose import compose
from emulator.sources.files import Files
from emulator.sources.yaml_file import text

_DAY = "a day such as 2027-03-31"


class Exempt(Value, frozen=True):
    """Machines that the fleet's mode and the canary do not hold for."""

    vm: Annotated[
        str,
        Meta(
            pattern=r"^[^/\s]+/[^/\s]+$",
            extra={"allowed": "namespace/name, in which * stands for anything"},
            description="Namespace and name; `*` and `?` stand for any characters.",
        ),
    ]
    mode: Annotated[Mode, Meta(description="What they are held to instead.")]
    reason: Annotated[
        str, Meta(min_length=1, max_length=255, description="Why, for whoever reads this later.")
    ]
    until: Annotated[str, Meta(description="The last day (UTC) on which it counts.")] = ""

    def ended(self, now: float) -> bool:
        """Say whether it does not count any more."""
        today = dt.datetime.fromtimestamp(now, dt.UTC).date()
        return bool(self.until) and today > dt.date.fromisoformat(self.until)


class FleetPolicy(Value, frozen=True):
    """What machines are held to whose owners chose nothing, or less."""

    mode: Annotated[Mode, Meta(description="What the fleet is held to.")]
    exceptions: Annotated[
        tuple[Exempt, ...],
        Meta(max_length=1000, description="The first that fits a machine counts."),
    ] = ()
    canary: Annotated[
        CanaryPolicy | None,
        Meta(description="How session tokens are required of a part of the fleet, and of more."),
    ] = None

    def exempting(self, instance: Instance, now: float) -> Exempt | None:
        """Give the exception that counts for ``instance`` at the time ``now``."""
        name = f"{instance.namespace}/{instance.name}"
        for one in self.exceptions:
            if fnmatchcase(name, one.vm) and not one.ended(now):
                return one
        return None


def read(path: str, files: Files) -> FleetPolicy:
    """Read the policy in the file at ``path``. Raises ``ConfigError`` with every mistake."""
    root = compose(text(path, files), path)
    decoder = Decoder(Outside(read=_nothing, locate=str), {})
    found = decoder.decode(root, type_info(FleetPolicy), "")
    if isinstance(found, FleetPolicy):
        for field, wrong, allowed in _mistakes(found):
            decoder.refuse(decoder.places[field], wrong, allowed)
    if decoder.problems or found is BROKEN:
        raise ConfigError(*sorted(decoder.problems, key=lambda problem: problem.line))
    policy: FleetPolicy = found
    return policy


def _mistakes(policy: FleetPolicy) -> Iterator[tuple[str, str, str]]:
    """Give what fields say that they cannot, where it is, and what they may say."""
    for number, one in enumerate(policy.exceptions):
        if one.until and not _is_day(one.until):
            yield f"exceptions[{number}].until", quoted(one.until), _DAY
    canary = policy.canary
    if canary is not None and policy.mode == "required":
        yield "canary", "a canary of what all are held to", "mode optional or observe with it"
    if canary is not None and sorted(set(canary.steps)) != list(canary.steps):
        yield "canary.steps", ", ".join(map(str, canary.steps)), "each more than the one before"


def _is_day(given: str) -> bool:
    try:
        return bool(dt.date.fromisoformat(given))
    except ValueError:
        return False


def _nothing(_path: str, _limit: int) -> bytes:
    raise AssertionError  # nothing in it names a file
