"""The rules that look further than one field; each mistake names the value that has it.

A rule sees an instance whose fields have the right types. It runs only if nothing in its fields
was broken: rules over half-read lists would report mistakes that nobody made.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator

import msgspec

from emulator.model import events
from emulator.model.instance import MIB, Instance
from emulator.model.mistake import Mistake, again, numbered
from emulator.model.rules_keys import public_keys
from emulator.model.rules_network import address_mistake, interfaces

_FILES = 16 * MIB
_VENDOR = 1 * MIB
_SOCKET = 107  # bytes: sun_path of unix(7), without its final NUL

Rule = Callable[[Instance, frozenset[str]], Iterator[Mistake]]


def mistakes(
    instance: Instance, written: frozenset[str], broken: frozenset[str]
) -> Iterator[Mistake]:
    """Give the mistakes of ``instance``.

    ``written`` holds the paths that its description has, ``broken`` the fields that could not be
    read and stand at their defaults.
    """
    for field, rule in _RULES.items():
        if field not in broken:
            yield from rule(instance, written)


def _hostname(instance: Instance, _written: frozenset[str]) -> Iterator[Mistake]:
    # RFC 1123, 2.1: what ends in a number is to be read as an address.
    if instance.hostname.rpartition(".")[2].isdecimal():
        yield Mistake.at("hostname", instance.hostname, "a last part that is not only digits")


def _files(instance: Instance, _written: frozenset[str]) -> Iterator[Mistake]:
    paths = [file.path for file in instance.files]
    for index, path in enumerate(paths):
        if path != posixpath.normpath(path) or path.startswith("//") or path == "/":
            allowed = "the plain path of a file, without '.', '..', '//' or a final '/'"
            yield Mistake.at(f"files[{index}].path", path, allowed)
    yield from again(numbered("files[{}].path", paths), "each path once")
    size = sum(len(file.content.data) for file in instance.files)
    if size > _FILES:
        yield Mistake("files", f"{size} bytes in all", f"at most {_FILES} bytes in all")


def _tokens(instance: Instance, _written: frozenset[str]) -> Iterator[Mistake]:
    audiences = [token.audience for token in instance.tokens]
    yield from again(numbered("tokens[{}].audience", audiences), "each audience once")


def _vendor_data2(instance: Instance, _written: frozenset[str]) -> Iterator[Mistake]:
    size = len(msgspec.json.encode(instance.vendor_data2))
    if size > _VENDOR:
        yield Mistake("vendor_data2", f"{size} bytes of JSON", f"at most {_VENDOR} bytes")


def _peer(instance: Instance, _written: frozenset[str]) -> Iterator[Mistake]:
    for index, address in enumerate(instance.peer.addresses):
        yield from address_mistake(f"peer.addresses[{index}]", address)
    own = numbered("peer.addresses[{}]", instance.peer.addresses)
    yield from again(own, "each address once")
    if len(instance.peer.socket.encode()) > _SOCKET:
        allowed = f"a path of at most {_SOCKET} bytes, as the kernel takes"
        yield Mistake.at("peer.socket", instance.peer.socket, allowed)


def _events(instance: Instance, _written: frozenset[str]) -> Iterator[Mistake]:
    yield from events.mistakes(instance.events)


def _launched(instance: Instance, _written: frozenset[str]) -> Iterator[Mistake]:
    try:
        events.moment(instance.launched)
    except ValueError as error:
        allowed = f"a time of the calendar ({error})"
        yield Mistake.at("launched", instance.launched, allowed)


_RULES: dict[str, Rule] = {
    "hostname": _hostname,
    "public_keys": public_keys,
    "interfaces": interfaces,
    "files": _files,
    "vendor_data2": _vendor_data2,
    "tokens": _tokens,
    "events": _events,
    "launched": _launched,
    "peer": _peer,
}
