"""What can go wrong outside a request; a refused request is a value, never one of these.

::

    ImdsError                   everything that a command reports without a traceback
    ├── ConfigError             descriptions, templates or flags that cannot be served
    ├── StartError              a port, descriptor, key or state folder that cannot be had
    ├── TokenUnavailable        a ServiceAccount token that cannot be read or issued now
    ├── CredentialsUnavailable  a role's keys or a bearer token that cannot be had now
    ├── BootError               a guest that did not boot as wanted
    └── ImageError              a disk image that cannot be found, built or fetched
"""

from __future__ import annotations

import msgspec


class ImdsError(Exception):
    """Base of all expected failures; ``str()`` of it is fit for a terminal."""


class Problem(msgspec.Struct, frozen=True):
    """One mistake in what somebody wrote.

    ``file`` and ``line`` (1-based, 0 where a file has no lines) say where; ``field`` is the dotted
    path of the value (``interfaces[0].mac``), ``found`` what stands there, ``allowed`` what may.
    """

    file: str
    line: int
    field: str
    found: str
    allowed: str

    def __str__(self) -> str:
        """One line: ``web-1.yaml:7: interfaces[0].mac: found "x"; allowed: ...``."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        field = f" {self.field}:" if self.field else ""
        return f"{place}:{field} found {self.found}; allowed: {self.allowed}"


class ConfigError(ImdsError):
    """Input that cannot be served, with every mistake that was found in it."""

    def __init__(self, *problems: Problem) -> None:
        """Keep ``problems`` in the order in which they were found."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class StartError(ImdsError):
    """Something that the server needs from the machine and cannot have."""


class TokenUnavailable(ImdsError):
    """No ServiceAccount token can be given now; the guest may ask again."""


class CredentialsUnavailable(ImdsError):
    """No keys of a role or bearer token can be given now; the guest may ask again.

    ``code`` is what EC2's document then has as its ``Code``. AWS documents
    ``AssumeRoleUnauthorizedAccess`` for a role that may not be assumed (IAM User Guide,
    "Troubleshooting IAM and Amazon EC2", troubleshoot_iam-ec2.html). Of bearer tokens, ``Refused``
    is what a token service will not give, ``Throttled`` what a guest asks too much of. ``Failed``
    is for all else. ``str()`` is fit for the guest; ``detail`` names the host's files and
    programs, for the log. ``ended`` is when what there was ended, if that is why.
    """

    def __init__(
        self, message: str, code: str = "Failed", detail: str = "", ended: float | None = None
    ) -> None:
        """Say what is not to be had, without any secret in ``message`` or ``detail``."""
        super().__init__(message)
        self.code = code
        self.detail = detail
        self.ended = ended


class BootError(ImdsError):
    """A guest that did not boot as wanted."""


class ImageError(ImdsError):
    """A disk image that cannot be found, built or fetched."""
