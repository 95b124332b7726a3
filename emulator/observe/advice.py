"""What to do about a client that asks without a session token, by the name it gives itself."""

from __future__ import annotations

import re

import msgspec

_SDKS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/use-a-supported-sdk-version-for-imdsv2.html"
_FALL_BACK = "https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html"
_CLOUD_INIT = "https://lists.launchpad.net/cloud-init/msg00239.html"
_DATASOURCE = (
    "https://github.com/canonical/cloud-init/blob/main/cloudinit/sources/DataSourceEc2.py"
)
_CLOUDBASE = "https://github.com/cloudbase/cloudbase-init/blob/master/cloudbaseinit/metadata/services/ec2service.py"

_UNKNOWN = "find the program by this name; it has to PUT /latest/api/token first"
_SCRIPT = "a script: have it PUT /latest/api/token first, and send what it gets"


class Advice(msgspec.Struct, frozen=True):
    """``what`` to do, and where that is from, empty if from nowhere."""

    what: str
    source: str = ""


_BLOCKED = Advice(
    "it is new enough and got no token: let its PUT through (proxies, firewalls), and give "
    "machines with containers hop_limit: 2",
    _FALL_BACK,
)
_NOT_AWS = Advice(
    "it takes the machine for another cloud's: give it a UUID and a serial that begin with ec2, "
    "as boot and the webhook do; or exempt it",
    _DATASOURCE,
)


class _Client(msgspec.Struct, frozen=True):
    """A client; the group of ``pattern`` is its version, ``since`` the first with tokens."""

    pattern: str
    name: str
    since: str
    source: str = _SDKS
    newer: Advice = _BLOCKED


# The first that fits; a name that holds another's comes before it.
_CLIENTS = (
    _Client(r"cloud-init(?:/([\d.]+))?", "cloud-init", "19.4", _CLOUD_INIT, _NOT_AWS),
    _Client(r"aws-cli(?:/([\d.]+))?", "AWS CLI", "1.16.289"),
    _Client(r"awspowershell[^/]*(?:/([\d.]+))?", "AWS Tools for PowerShell", "4.0.1.0"),
    _Client(r"botocore(?:[/#]([\d.]+))?", "botocore", "1.13.25"),
    _Client(r"boto3?(?:/([\d.]+))?", "Boto3", "1.12.6"),
    _Client(r"aws-sdk-go-v2(?:/([\d.]+))?", "AWS SDK for Go v2", "0.19.0"),
    _Client(r"aws-sdk-go(?:/([\d.]+))?", "AWS SDK for Go", "1.25.38"),
    _Client(r"aws-sdk-java/(1\.[\d.]+)", "AWS SDK for Java", "1.11.678"),
    _Client(r"aws-sdk-java(?:/([\d.]+))?", "AWS SDK for Java", "2.10.21"),
    _Client(r"aws-sdk-(?:js|nodejs)(?:/([\d.]+))?", "AWS SDK for JavaScript", "2.722.0"),
    _Client(r"aws-sdk-ruby[23]?(?:/([\d.]+))?", "AWS SDK for Ruby", "3.79.0"),
    _Client(r"aws-sdk-php[23]?(?:/([\d.]+))?", "AWS SDK for PHP", "3.147.7"),
    _Client(r"aws-sdk-dotnet[^/]*(?:/([\d.]+))?", "AWS SDK for .NET", "3.3.634.1"),
    _Client(r"aws-sdk-cpp(?:/([\d.]+))?", "AWS SDK for C++", "1.7.229"),
)
_SCRIPTS = re.compile(r"curl|wget|python-(requests|urllib)|go-http-client|libwww", re.IGNORECASE)
# Some name their library only; scripts ask for no dated version of the tree.
_DATED = re.compile(r"/20\d\d-\d\d-\d\d/")
_NAMELESS = Advice(
    "part of cloud-init if that is named for this machine, too; or cloudbase-init, which knows no "
    "session tokens: exempt the machine",
    _CLOUDBASE,
)


def advice(user_agent: str, path: str = "") -> Advice:
    """Say what to do about a client that asked for ``path``."""
    for client in _CLIENTS:
        found = re.search(client.pattern, user_agent, re.IGNORECASE)
        if found is not None:
            if found.group(1) and _numbers(found.group(1)) >= _numbers(client.since):
                return client.newer
            what = (
                f"update it: {client.name} {client.since} and newer ask for a token by themselves"
            )
            return Advice(what, client.source)
    if user_agent.startswith("python-requests/") and _DATED.match(path):
        return _NAMELESS
    return Advice(_SCRIPT if _SCRIPTS.search(user_agent) else _UNKNOWN)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part[:9]) for part in version.split(".") if part)
