"""Who would be refused if session tokens were required everywhere (IMDSv2), by the audit log."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import msgspec

from emulator.observe.audit import Line
from emulator.observe.metrics import was_answered

_MOST_PATHS = 50

_NEWER = "update it: {} and newer ask for a token by themselves"
_SDKS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-transition-to-version-2.html"
_CLOUD_INIT = "https://docs.cloud-init.io/en/latest/reference/datasources/ec2.html"

# By the user agent, the first that fits. Versions are those of the vendor's page.
_ADVICE = (
    (r"cloud-init", _NEWER.format("cloud-init 20.1"), _CLOUD_INIT),
    (r"boto|aws-cli", _NEWER.format("botocore 1.13.25, AWS CLI 1.16.289"), _SDKS),
    (r"aws-sdk-go-v2", _NEWER.format("aws-sdk-go-v2 0.19.0"), _SDKS),
    (r"aws-sdk-go", _NEWER.format("aws-sdk-go 1.25.38"), _SDKS),
    (r"aws-sdk-java/1|aws-internal/3", _NEWER.format("AWS SDK for Java 1.11.678"), _SDKS),
    (r"aws-sdk-java", _NEWER.format("AWS SDK for Java 2.10.21"), _SDKS),
    (r"aws-sdk-(js|nodejs)", _NEWER.format("AWS SDK for JavaScript 2.722.0"), _SDKS),
    (r"aws-sdk-ruby", _NEWER.format("AWS SDK for Ruby 3.79.0"), _SDKS),
    (r"aws-sdk-php", _NEWER.format("AWS SDK for PHP 3.147.7"), _SDKS),
    (r"aws-sdk-dotnet|AWSSDK", _NEWER.format("AWS SDK for .NET 3.3.634.1"), _SDKS),
    (r"aws-sdk-cpp", _NEWER.format("AWS SDK for C++ 1.7.229"), _SDKS),
    (
        r"curl|wget|python-(requests|urllib)|go-http-client|libwww",
        "a script: have it PUT /latest/api/token first, and send what it gets",
        "",
    ),
)
_UNKNOWN = "find the program by this name; it has to PUT /latest/api/token first"


class Caller(msgspec.Struct, kw_only=True):
    """A client of a machine that asks without a session token; times are RFC 3339, in UTC."""

    namespace: str
    vm: str
    user_agent: str
    requests: int = 0
    first: str = ""
    last: str = ""
    paths: dict[str, int] = msgspec.field(default_factory=dict)
    advice: str = ""
    source: str = ""


class Machine(msgspec.Struct, kw_only=True):
    """What a machine asked where session tokens are taken: ``requests``, and those without one."""

    requests: int = 0
    without: int = 0


class Finding(msgspec.Struct, kw_only=True):
    """What audit lines say: ``callers`` would be refused; ``machines`` by namespace and name."""

    lines: int = 0
    unread: int = 0
    machines: dict[str, Machine] = msgspec.field(default_factory=dict)
    callers: list[Caller] = msgspec.field(default_factory=list)


def find(lines: Iterable[Line | None], since: float = 0) -> Finding:
    """Go through ``lines``, None for each that could not be read, from ``since`` on (epoch)."""
    found = Finding()
    callers: dict[tuple[str, str, str], Caller] = {}
    for line in lines:
        if line is None:
            found.unread += 1
        elif line.seconds >= since:
            found.lines += 1
            _take(line, found, callers)
    for caller in callers.values():
        caller.advice, caller.source = advice(caller.user_agent)
        caller.paths = dict(Counter(caller.paths).most_common())
    found.callers = sorted(callers.values(), key=lambda caller: -caller.requests)
    return found


def advice(user_agent: str) -> tuple[str, str]:
    """Say what to do about a client, and where that is from, empty if from nowhere."""
    for pattern, what, source in _ADVICE:
        if re.search(pattern, user_agent, re.IGNORECASE):
            return what, source
    return _UNKNOWN, ""


def _take(line: Line, found: Finding, callers: dict[tuple[str, str, str], Caller]) -> None:
    if not line.session:
        return
    machine = found.machines.setdefault(f"{line.namespace}/{line.vm}", Machine())
    machine.requests += 1
    # Where a token is required already, this one was refused, and nobody lives by it.
    if line.session != "absent" or not was_answered(line.reason):
        return
    machine.without += 1
    key = (line.namespace, line.vm, line.user_agent)
    caller = callers.get(key)
    if caller is None:
        caller = Caller(namespace=line.namespace, vm=line.vm, user_agent=line.user_agent)
        caller.first = line.time
        callers[key] = caller
    caller.requests += 1
    caller.first, caller.last = min(caller.first, line.time), max(caller.last, line.time)
    if line.path in caller.paths or len(caller.paths) < _MOST_PATHS:
        caller.paths[line.path] = caller.paths.get(line.path, 0) + 1
