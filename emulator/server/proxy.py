"""Signed identity headers from OpenStack's metadata proxies (contract 1.8)."""

from __future__ import annotations

import hmac

import msgspec
from tornado.httputil import HTTPHeaders

from emulator.core.policy import Refusal

INSTANCE = "X-Instance-Id"
TENANT = "X-Tenant-Id"
SIGNATURE = "X-Instance-Id-Signature"
PROVIDER = "X-Metadata-Provider"
PROVIDER_SIGNATURE = "X-Metadata-Provider-Signature"
FORWARDED = "X-Forwarded-For"
# Of a proxy's own too: it may ask by whatever name it was given.
_HOST = "Host"
_CARRIERS = (INSTANCE, TENANT, SIGNATURE, PROVIDER, PROVIDER_SIGNATURE, FORWARDED)


class Claim(msgspec.Struct, frozen=True):
    """Whom a proxy speaks for, and the guest's own headers, ``rest``, without the ``Host``.

    Either a machine's ``uuid`` and ``project``, or the ``address`` that it forwards for.
    """

    rest: HTTPHeaders
    uuid: str = ""
    project: str = ""
    address: str = ""


class Proxies:
    """The peers whose identity headers are believed, and the secret that they sign with."""

    def __init__(self, addresses: frozenset[str], secret: bytes) -> None:
        """Believe ``addresses``; without any, the object is false."""
        self.addresses = addresses
        self._secret = secret

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return bool(self.addresses)

    def read(self, headers: HTTPHeaders) -> Claim | Refusal:
        """Verify what a proxy says; a header missing or given twice is incomplete, as in Nova."""
        given = {name: headers.get_list(name) for name in _CARRIERS}
        if any(len(values) > 1 for values in given.values()):
            return Refusal.PROXY_INCOMPLETE
        one = {name: values[0] for name, values in given.items() if values and values[0]}
        provider = PROVIDER in one
        wanted = (PROVIDER, PROVIDER_SIGNATURE) if provider else (INSTANCE, SIGNATURE, TENANT)
        if FORWARDED not in one or any(name not in one for name in wanted):
            return Refusal.PROXY_INCOMPLETE
        if not self._signed(one[wanted[0]], one[wanted[1]]):
            return Refusal.PROXY_FORGED
        rest = _without_carriers(headers)
        if provider:
            return Claim(rest, address=one[FORWARDED].partition(",")[0].strip())
        return Claim(rest, uuid=one[INSTANCE], project=one[TENANT])

    def _signed(self, message: str, signature: str) -> bool:
        expected = hmac.new(self._secret, message.encode(), "sha256").hexdigest()
        return hmac.compare_digest(expected.encode(), signature.encode())


def _without_carriers(headers: HTTPHeaders) -> HTTPHeaders:
    rest = HTTPHeaders()
    for name, value in headers.get_all():
        if name not in _CARRIERS and name != _HOST:
            rest.add(name, value)
    return rest
