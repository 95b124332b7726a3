"""Listening sockets: made, or inherited from systemd or a parent; and descriptors for more."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import socket
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from emulator.errors import ConfigError, Problem, StartError

BACKLOG = 1024

SPARE_DESCRIPTORS = 64
"""Descriptors beside connections: listeners, logs, files that are being read."""

_FIRST_INHERITED = 3

# Of those who knock, so many are let in at a time; then others are answered.
_TURN = 16

# What accept(2) says when the process or the system has no descriptor or memory left.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# Seconds until it is tried again: who knocks waits in the kernel.
_PAUSE = 0.25

_log = logging.getLogger("imds")


class Endpoint(msgspec.Struct, frozen=True):
    """Where to listen: TCP ``host`` and ``port``, a unix socket ``path``, or descriptor ``fd``."""

    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1

    def __str__(self) -> str:
        """Give the spelling that ``parse`` takes."""
        if self.path:
            return f"unix:{self.path}"
        if self.fd >= 0:
            return f"fd:{self.fd}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str, flag: str) -> Endpoint:
    """Read ``HOST:PORT``, ``[V6]:PORT``, ``unix:PATH`` or ``fd:N``; raise ``ConfigError``."""
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest:
        return Endpoint(path=rest)
    if kind == "fd" and _is_number(rest):
        return Endpoint(fd=int(rest))
    host, _, port = text.rpartition(":")
    if host and _is_number(port) and int(port) < 1 << 16:
        return Endpoint(host=host.strip("[]"), port=int(port))
    allowed = "HOST:PORT, [IPV6]:PORT, unix:PATH or fd:N"
    raise ConfigError(Problem("command line", 0, flag, f'"{text}"', allowed))


def inherited(environ: Mapping[str, str], pid: int) -> list[Endpoint]:
    """Give the descriptors that systemd passed (sd_listen_fds(3)); none if they are not for us."""
    if environ.get("LISTEN_PID") != str(pid):
        return []
    given = environ.get("LISTEN_FDS", "")
    count = int(given) if _is_number(given) else 0
    return [Endpoint(fd=_FIRST_INHERITED + number) for number in range(count)]


def listen(endpoint: Endpoint) -> socket.socket:
    """Give a listening, non-blocking socket; raise ``StartError`` saying what is in the way."""
    try:
        if endpoint.fd >= 0:
            made = socket.socket(fileno=endpoint.fd)
        elif endpoint.path:
            made = _unix(endpoint.path)
        else:
            made = _tcp(endpoint)
    except OSError as error:
        raise StartError(f"cannot listen on {endpoint}: {_reason(error)}") from error
    except UnicodeError as error:
        raise StartError(f"cannot listen on {endpoint}: no such host name") from error
    made.settimeout(0)
    return made


def bound(made: socket.socket) -> Endpoint:
    """Say where a socket listens: the port it got, not the zero that was asked for."""
    name = made.getsockname()
    if made.family == socket.AF_UNIX:
        return Endpoint(path=name)
    return Endpoint(host=name[0], port=name[1])


def release(endpoint: Endpoint) -> None:
    """Remove the file of a unix socket."""
    if endpoint.path:
        with suppress(OSError):
            Path(endpoint.path).unlink()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _tcp(endpoint: Endpoint) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _unix(path: str) -> socket.socket:
    """Bind ``path`` for its owner alone; a socket that nobody answers on any more is replaced."""
    if _stale(path):
        Path(path).unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        made.bind(path)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    finally:
        os.umask(before)
    return made


def _stale(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Who listens but does not accept must not keep us waiting.
        probe.settimeout(0)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "something else listens there; stop it, or choose another with --listen/--operator"
    if error.errno == errno.EACCES:
        return "not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return error.strerror or str(error)


def limit_hops(connection: socket.socket, hops: int) -> None:
    """Let what is sent on ``connection`` from now on, again and again if need be, live ``hops``.

    Over a unix socket there are none to count.
    """
    if connection.family == socket.AF_UNIX:
        return
    # An IPv6 socket may carry IPv4, whose packets have a limit of their own.
    connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
    if connection.family == socket.AF_INET6:
        connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)


class Acceptor:
    """Takes connections from a listening socket for as long as the running loop does.

    Tornado's own takes 128 at a time, and where no descriptor is left it would try without end,
    on a whole processor, with a traceback in the log for each try.
    """

    def __init__(
        self,
        listening: socket.socket,
        taken: Callable[[socket.socket, tuple[object, ...]], None],
        exhausted: Callable[[], None],
    ) -> None:
        """Call ``taken`` with each connection and its peer, ``exhausted`` when none can be had."""
        self._listening = listening
        self._taken = taken
        self._exhausted = exhausted
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._failing = False
        self._watch()

    def stop(self) -> None:
        """Take no more; the socket stays open."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        _ = self._loop.remove_reader(self._listening)

    def _watch(self) -> None:
        self._again = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(_TURN):
            try:
                connection, peer = self._listening.accept()
            except BlockingIOError:
                self._drained()
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    # That connection is gone already, or its network is (accept(2)).
                    continue
                self._pause(error)
                return
            self._taken(connection, peer)

    def _drained(self) -> None:
        """Note that nobody waits any more."""
        if self._failing:
            self._failing = False
            _log.warning("connections are taken again")

    def _pause(self, error: OSError) -> None:
        self._exhausted()
        if not self._failing:
            self._failing = True
            _log.error("no connection can be taken, those who ask wait: %s", error.strerror)
        _ = self._loop.remove_reader(self._listening)
        self._again = self._loop.call_later(_PAUSE, self._watch)


def allow_descriptors(wanted: int) -> int:
    """Raise the limit of open descriptors to ``wanted`` if that is permitted; give what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    granted = max(soft, wanted if unlimited else min(wanted, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return granted


def descriptor_ceiling() -> int:
    """Give the number below which the descriptor of a guest's connection must be.

    The kernel gives the lowest free number. So some are left above for files, for services that
    are asked and for the operator, whatever guests do.
    """
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return soft - min(SPARE_DESCRIPTORS, soft // 4)
