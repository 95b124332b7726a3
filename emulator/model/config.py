"""How a server is run: every setting, its unit, its default, and why it is that."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

DEFAULT_LISTEN = "127.0.0.1:16925"
DEFAULT_OPERATOR = "127.0.0.1:16926"


_Count = Annotated[int, Meta(ge=1, le=1 << 30)]
_Bytes = Annotated[int, Meta(ge=1 << 10, le=1 << 32)]
_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_Pace = Annotated[float, Meta(ge=1, le=1 << 30)]
_Rate = Annotated[float, Meta(ge=0, le=1 << 32)]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what one guest can make the server hold and do; docs/limits.md says why so much.

    A stock boot makes about 50 short requests, the longest header of a real client is an EC2
    session token of 4 KiB, and the largest body that any dialect takes is a guest attribute of
    16 KiB: these leave room without letting a guest fill the memory of a sidecar. A request's
    head has ``header_bytes`` and ``header_lines``, its body ``body_bytes``. ``connections`` are
    those of a listener, ``connections_of_vm`` those of a machine, wherever it asks from. Where
    several machines are served, each may ask ``burst_of_vm`` times at once, as the programs of one
    that starts do, and ``pace_of_vm`` times a second; what it asks beyond that waits. Requests
    that wait for a change have places of their own: ``waiting`` in all, ``waiting_of_vm`` for one
    machine; one more is answered at once. ``idle_seconds`` is for a request that does not come,
    for an answer that is not taken, and for a waiting guest that is gone without a word.

    What a machine asks beyond ``requests_at_once`` and then ``requests_of_vm`` a second, or once
    it was given ``bytes_at_once`` and ``bytes_of_vm`` a second, is refused in its dialect's words;
    0 a second is no limit.
    """

    header_bytes: _Bytes = 16 << 10
    header_lines: _Count = 128
    body_bytes: _Bytes = 64 << 10
    connections: _Count = 1024
    connections_of_vm: _Count = 256
    burst_of_vm: _Pace = 1000.0
    pace_of_vm: _Pace = 500.0
    waiting: _Count = 10_000
    waiting_of_vm: _Count = 256
    requests_of_vm: _Rate = 200.0
    requests_at_once: _Count = 2000
    bytes_of_vm: _Rate = 16 << 20
    bytes_at_once: _Bytes = 256 << 20
    idle_seconds: _Seconds = 60.0
    body_seconds: _Seconds = 10.0
    drain_seconds: _Seconds = 5.0


class ServeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``serve`` was asked to do.

    ``listen`` and ``operator`` are ``HOST:PORT``, ``unix:PATH``, ``fd:N``, and for the operator
    ``off``; without ``listen`` it is what was inherited from systemd, or else the default port of
    the loopback address. ``doors`` are further such places as ``NAME=PLACE``, where guests ask for
    what a dialect has at an address of its own (``wireserver=168.63.129.16:80``).
    ``operator_cert`` and ``operator_key`` are PEM files. ``instances`` is a
    file, a folder, or empty for the sample; ``podinfo`` a pod's downward-API folder; ``templates``
    a folder of the owner's. ``state`` is where keys and passwords live, empty for XDG's folder;
    with ``last_good`` a start on broken descriptions goes on from the last good ones.
    ``audit`` is a file, ``-`` for standard output, ``syslog:PATH`` for a daemon's socket, or empty
    for none. A file of ``audit_bytes`` is kept as ``.1``, and ``audit_files`` of those; with 0
    bytes it is another program's to rotate. ``log_level`` is one of logging's, or ``off``.
    ``issuer_url`` names the issuer of signed tokens, by default the operator's address.
    ``proxies`` are the addresses whose signed headers are believed, with the secret in
    ``proxy_secret_file``. ``hosts`` are further names by which the server may be asked.
    ``session_key`` is a file with the key of session tokens, by default one made once and kept in
    ``state``; ``identity_cert`` and ``identity_key`` are PEM files to sign identity documents
    with, by default made likewise. ``allow_credential_process`` lets descriptions name programs
    that give credentials: whoever writes one runs it as the server. ``imdsv2`` is a file with the
    fleet's policy about session tokens. ``reload_seconds`` is half of
    the second within which a change must be served.
    """

    instances: str = ""
    podinfo: str = ""
    templates: str = ""
    listen: tuple[str, ...] = ()
    doors: tuple[str, ...] = ()
    operator: str = DEFAULT_OPERATOR
    operator_cert: str = ""
    operator_key: str = ""
    state: str = ""
    last_good: bool = False
    audit: str = ""
    audit_bytes: int = 64 << 20
    audit_files: int = 8
    log_level: str = "info"
    issuer_url: str = ""
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    proxy_secret_file: str = ""
    session_key: str = ""
    identity_cert: str = ""
    identity_key: str = ""
    allow_credential_process: bool = False
    imdsv2: str = ""
    reload_seconds: float = 0.5
    limits: Limits = Limits()
