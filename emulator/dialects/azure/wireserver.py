"""The wireserver: what a guest's agent must have done and reports that it is ready (contract 5.5).

It is small: one goal, which is to run, and no certificates, extensions or shared configuration.
"""

from __future__ import annotations

import re

import msgspec

from emulator.core.message import Done, Reply, Request, Services
from emulator.core.refusal import Refusal
from emulator.dialects.azure.names import MACHINE
from emulator.dialects.azure.query import parse

XML = "text/xml; charset=utf-8"

_STATE = re.compile(r"<State>\s*(\w{1,32})\s*</State>")
_WHY = re.compile(r"<Description>([^<]{0,1024})</Description>")
_TAKEN = Reply(200, b"", XML)
_COMP = "comp"


_GOAL = """\
<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <Version>2012-11-30</Version>
  <Incarnation>1</Incarnation>
  <Machine>
    <ExpectedState>Started</ExpectedState>
    <StopRolesDeadlineHint>300000</StopRolesDeadlineHint>
    <ExpectHealthReport>FALSE</ExpectHealthReport>
  </Machine>
  <Container>
    <ContainerId>{uuid}</ContainerId>
    <RoleInstanceList>
      <RoleInstance>
        <InstanceId>{uuid}</InstanceId>
        <State>Started</State>
      </RoleInstance>
    </RoleInstanceList>
  </Container>
</GoalState>
"""
_VERSIONS = b"""\
<?xml version="1.0" encoding="utf-8"?>
<Versions>
  <Preferred><Version>2012-11-30</Version></Preferred>
  <Supported><Version>2012-11-30</Version><Version>2015-04-05</Version></Supported>
</Versions>
"""


class Component(msgspec.Struct, frozen=True):
    """Answers with ``document`` who asks for the component ``name`` of a path."""

    name: str
    document: bytes

    def __call__(self, request: Request, _services: Services) -> Done:
        """Give it."""
        asked = parse(request.query)
        if isinstance(asked, Reply) or asked.get(_COMP, "").lower() != self.name:
            return Refusal.BAD_QUERY
        return Reply(200, self.document, XML)


VERSIONS = Component("versions", _VERSIONS)


def goal(uuid: str) -> Component:
    """Give the goal of the machine with this UUID, which names it here in all places."""
    return Component("goalstate", _GOAL.format(uuid=uuid).encode())


def report(request: Request, services: Services) -> Done:
    """Take a health report: what state the guest says it is in, and why."""
    if request.path != MACHINE:
        return Refusal.NOT_FOUND
    asked = parse(request.query)
    if isinstance(asked, Reply) or asked.get(_COMP, "").lower() != "health":
        return Refusal.BAD_QUERY
    text = request.body.decode("utf-8", "replace")
    state, why = _STATE.search(text), _WHY.search(text)
    if state is None:
        return Refusal.BAD_BODY
    services.report(state[1], _plain(why[1]).strip() if why else "")
    return _TAKEN


def _plain(text: str) -> str:
    """Give what XML's text says, as a report escapes it."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
