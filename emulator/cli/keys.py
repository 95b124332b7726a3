"""``imds-emulator keys``: prints the Secret with which a namespace's sidecars sign."""

from __future__ import annotations

import argparse
import sys
from base64 import b64decode, b64encode
from collections.abc import Mapping

from emulator.errors import ConfigError, Problem
from emulator.ports import SYSTEM
from emulator.signing.authority import NAMESPACE, Authority, Made, found

SECRET = "imds-emulator-keys"  # noqa: S105  its name
AUTHORITY_SECRET = "imds-emulator-ca"  # noqa: S105  as above

_SESSION_BYTES = 32
_INPUT = "standard input"
# Ours and Helm's, and those of a kubernetes.io/tls Secret, which is what cert-manager makes.
_MEMBERS = (("ca.crt", "ca.key"), ("tls.crt", "tls.key"))
_EXAMPLE = (
    f"kubectl -n imds-system get secret {AUTHORITY_SECRET} -o json | imds-emulator keys shop"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "namespaces",
        nargs="+",
        metavar="NAMESPACE",
        help="whose keys to make; their authority is read as a Secret (JSON or YAML) from "
        f"standard input: {_EXAMPLE} | kubectl apply -f -",
    )
    parser.add_argument(
        "--new-ca",
        action="store_true",
        help="make an authority instead, and print its Secret for NAMESPACE",
    )
    parser.add_argument(
        "--ca-cert",
        default="",
        metavar="FILE",
        help="read the authority from files: its certificate, and any above it, PEM",
    )
    parser.add_argument("--ca-key", default="", metavar="FILE", help="its key, PEM")
    parser.add_argument(
        "--secret",
        default="",
        metavar="NAME",
        help=f"name of the Secret (default {SECRET}, with --new-ca {AUTHORITY_SECRET})",
    )


def run(options: argparse.Namespace) -> int:
    """Print the manifests, secret as they are: whoever runs it hands them on."""
    problems = [
        Problem("command line", 0, "NAMESPACE", f'"{name}"', "a Kubernetes namespace's name")
        for name in options.namespaces
        if not NAMESPACE.fullmatch(name)
    ]
    if problems:
        raise ConfigError(*problems)
    if options.new_ca:
        name = options.secret or AUTHORITY_SECRET
        made = [(namespace, _members(found(SYSTEM))) for namespace in options.namespaces]
    else:
        name = options.secret or SECRET
        authority = _authority(options.ca_cert, options.ca_key)
        made = [(namespace, _keys(authority, namespace)) for namespace in options.namespaces]
    _print([_manifest(name, namespace, data) for namespace, data in made])
    return 0


def _members(authority: Made) -> dict[str, bytes]:
    return dict(zip(_MEMBERS[0], (authority.certificate, authority.key), strict=True))


def _keys(authority: Authority, namespace: str) -> dict[str, bytes]:
    made = authority.certify(namespace, SYSTEM)
    return {
        # As text, so that it can be looked at and carried about without harm.
        "session.key": b64encode(SYSTEM.random(_SESSION_BYTES)),
        "identity.crt": made.certificate,
        "identity.key": made.key,
    }


def _manifest(name: str, namespace: str, data: Mapping[str, bytes]) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": {key: b64encode(value).decode() for key, value in data.items()},
    }


def _print(manifests: list[dict[str, object]]) -> None:
    import yaml  # noqa: PLC0415  its commands alone read or write YAML

    sys.stdout.write(yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True))


def _authority(certificate: str, key: str) -> Authority:
    if bool(certificate) != bool(key):
        flag = "--ca-key" if certificate else "--ca-cert"
        allowed = "the authority's certificate and its key, or neither"
        raise ConfigError(Problem("command line", 0, flag, "nothing", allowed))
    place, field = ("command line", "--ca-cert") if certificate else (_INPUT, "data")
    given = _files(certificate, key) if certificate else _piped()
    try:
        return Authority(*given, SYSTEM.wall())
    except ValueError as error:
        allowed = "an authority's PEM certificate that is good now, and its unencrypted key"
        raise ConfigError(Problem(place, 0, field, str(error), allowed)) from error


def _files(certificate: str, key: str) -> tuple[bytes, bytes]:
    return _file("--ca-cert", certificate), _file("--ca-key", key)


def _file(flag: str, path: str) -> bytes:
    try:
        return SYSTEM.read(path)
    except OSError as error:
        why = f"{path}: {error.strerror}"
        raise ConfigError(Problem("command line", 0, flag, why, "a readable PEM file")) from error


def _piped() -> tuple[bytes, bytes]:
    """Give certificate and key from the Secret on standard input."""
    data = _data()
    for pair in _MEMBERS:
        if all(member in data for member in pair):
            certificate, key = (_decoded(member, data[member]) for member in pair)
            return certificate, key
    names = ", ".join(map(str, data)) or "nothing"
    allowed = " or ".join(" and ".join(pair) for pair in _MEMBERS)
    raise ConfigError(Problem(_INPUT, 0, "data", names, allowed))


def _data() -> Mapping[str, object]:
    import yaml  # noqa: PLC0415  as above

    allowed = f"the Secret of an authority ({_EXAMPLE}), or --ca-cert and --ca-key"
    if sys.stdin.isatty():
        raise ConfigError(Problem(_INPUT, 0, "", "a terminal", allowed))
    text = sys.stdin.buffer.read()
    try:
        document = yaml.safe_load(text)  # JSON too, of which it is a superset
    except yaml.YAMLError as error:
        raise ConfigError(Problem(_INPUT, 0, "", f"no YAML ({error})", allowed)) from error
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind != "Secret" or not isinstance(document.get("data"), dict):
        what = "nothing" if not text.strip() else f"{kind or 'no object'} without data"
        raise ConfigError(Problem(_INPUT, 0, "", what, allowed))
    data: Mapping[str, object] = document["data"]
    return data


def _decoded(member: str, text: object) -> bytes:
    try:
        return b64decode(str(text), validate=True)
    except ValueError as error:
        raise ConfigError(Problem(_INPUT, 0, f"data.{member}", str(error), "base64")) from error
