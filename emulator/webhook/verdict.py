"""What admission is asked, and what it says: let in as it is, changed, or refused with the fix."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON. Never changed: a change makes another one."""


class Kind(msgspec.Struct, frozen=True):
    """What an object is: ``kubevirt.io``, ``v1``, ``VirtualMachine``."""

    kind: str
    group: str = ""
    version: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the API server wants to know (``AdmissionRequest``), as far as it matters here.

    ``operation`` is ``CREATE``, ``UPDATE``, ``DELETE`` or ``CONNECT``. ``name`` is empty where the
    API server is still to make one of the object's ``generateName``.
    """

    uid: str
    kind: Kind
    operation: str
    namespace: str = ""
    name: str = ""
    sub_resource: str = ""
    object: Any = None
    old_object: Any = None


class Cause(msgspec.Struct, frozen=True):
    """One reason for a refusal: the dotted path of the field, and what is wrong with the fix."""

    field: str
    message: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: refused if there are ``causes``, else let in as ``object``.

    ``why`` says in a word or two why nothing else was done, for the log.
    """

    object: Any = None
    causes: tuple[Cause, ...] = ()
    warnings: tuple[str, ...] = ()
    why: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the object is let in."""
        return not self.causes
