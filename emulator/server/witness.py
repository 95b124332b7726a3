"""What is told of a request once it is answered: nothing secret, nothing without a bound."""

from __future__ import annotations

from emulator.core.message import Answer, Request
from emulator.core.policy import Session
from emulator.core.session import TOKEN_HEADER, TTL_HEADER, lifetime
from emulator.core.snapshot import Decision
from emulator.observe.observation import Observation, bounded, shown
from emulator.server.machine import Machine


def observation(  # noqa: PLR0913  keywords name themselves
    request: Request,
    machine: Machine | None,
    decision: Decision,
    answer: Answer,
    *,
    now: float,
    seconds: float,
    issued: bool,
    waited: bool,
) -> Observation:
    """Describe a request of ``machine``, None for a stranger, answered after ``seconds``.

    With ``issued`` the answer holds a session token.
    """
    area = decision.area
    vm = machine.instance if machine is not None else None
    agents = request.headers.get_list("User-Agent")
    session, fingerprint = _session(request, machine) if area.session is not None else ("", "")
    if issued and machine is not None:
        fingerprint = machine.sessions.fingerprint(answer.body.decode("latin-1"))
    return Observation(
        time=now,
        vm=vm.name if vm else "",
        dialect=area.dialect,
        area=area.name,
        method=bounded(request.method),
        path=bounded(request.path) if decision.known else shown(request.path),
        status=answer.status,
        reason=decision.refusal or "",
        bytes=0 if request.method == "HEAD" else len(answer.body),
        duration_us=int(seconds * 1e6),
        user_agent=shown(agents[0]) if agents else "",
        peer=request.peer,
        namespace=vm.namespace if vm else "",
        uuid=vm.uuid if vm else "",
        session=session,
        lifetime=lifetime(request.headers.get_list(TTL_HEADER)[0]) or 0 if issued else 0,
        waited=waited,
        fingerprint=fingerprint,
        document=decision.document,
        spared=area.spared(request, decision.refusal) if area.session is Session.OBSERVE else "",
    )


def _session(request: Request, machine: Machine | None) -> tuple[str, str]:
    """Say whether a session token came, and give its fingerprint."""
    tokens = request.headers.get_list(TOKEN_HEADER)
    if not tokens:
        return "absent", ""
    return "given", machine.sessions.fingerprint(tokens[0]) if machine is not None else ""
