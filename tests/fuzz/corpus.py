"""Inputs that are kept: what servers have fallen for, and what this one is to make of it.

Each with the statuses of its answers, of which a request inside a body, or behind one whose end is
in doubt, must never have any.
"""

from __future__ import annotations

from tests.fuzz.hostile import INNER

_HOST = b"Host: metadata\r\n"
_GET = b"GET /latest/meta-data/instance-id HTTP/1.1\r\n" + _HOST
_POST = b"POST /latest/meta-data/instance-id HTTP/1.1\r\n" + _HOST
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_NONE = b"0\r\n\r\n"
_LENGTH = b"Content-Length: %d\r\n" % len(INNER)
_END = b"\r\n"


def _get(target: bytes, headers: bytes = _HOST) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s\r\n" % (target, headers)


CORPUS: dict[str, tuple[bytes, list[int]]] = {
    # Whose length counts? No request may hide behind the answer to that.
    "length and chunks": (_POST + _LENGTH + _CHUNKED + _END + _NONE + INNER, [400]),
    "chunks and length": (_POST + _CHUNKED + b"Content-Length: 4\r\n\r\n" + _NONE + INNER, [400]),
    "two lengths": (_POST + b"Content-Length: 0\r\n" + _LENGTH + _END + INNER, [400]),
    "two lengths in one": (_POST + b"Content-Length: 0, 70\r\n\r\n" + INNER, [400]),
    "a length with a sign": (_POST + b"Content-Length: +0\r\n\r\n" + INNER, [400]),
    "a length below zero": (_POST + b"Content-Length: -1\r\n\r\n" + INNER, [400]),
    "a length in hex": (_POST + b"Content-Length: 0x0\r\n\r\n" + INNER, [400]),
    "a length that Python reads": (_POST + b"Content-Length: 0_0\r\n\r\n" + INNER, [400]),
    "a length in other digits": (_POST + b"Content-Length: \xb2\r\n\r\n" + INNER, [400]),
    "a length of 5000 digits": (_POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", [400]),
    "a length beyond the limit": (_POST + b"Content-Length: 65537\r\n\r\n" + INNER, [400]),
    "no length": (_POST + b"Content-Length:\r\n\r\n" + INNER, [400]),
    "another coding": (_POST + b"Transfer-Encoding: identity\r\n\r\n" + INNER, [400]),
    "a coding nobody knows": (_POST + b"Transfer-Encoding: xchunked\r\n\r\n" + _NONE, [400]),
    "chunks twice": (_POST + _CHUNKED + _CHUNKED + _END + _NONE + INNER, [400]),
    "chunks not last": (_POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + _NONE, [400]),
    "a tab before it": (_POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + _NONE + INNER, [400]),
    "a space in the name": (_POST + b"Transfer-Encoding : chunked\r\n\r\n" + _NONE, [400]),
    "a folded coding": (_POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + _NONE, [400]),
    "a chunk's size with a sign": (_POST + _CHUNKED + b"\r\n+0\r\n\r\n" + INNER, [400]),
    "a chunk's size as Python has it": (_POST + _CHUNKED + b"\r\n0_0\r\n\r\n" + INNER, [400]),
    "a chunk's size with 0x": (_POST + _CHUNKED + b"\r\n0x0\r\n\r\n" + INNER, [400]),
    "a chunk that goes on": (_POST + _CHUNKED + b"\r\n1\r\nabc\r\n" + _NONE + INNER, [400]),
    "trailers": (_POST + _CHUNKED + b"\r\n0\r\nHost: page.example\r\n\r\n" + INNER, [400]),
    "a body on GET": (_GET + _LENGTH + _END + INNER + _GET + _END, [200, 200]),
    "a body on HEAD": (b"HEAD / HTTP/1.1\r\n" + _HOST + _LENGTH + _END + INNER, [200]),
    "chunks on GET": (_GET + _CHUNKED + b"\r\n%x\r\n%s\r\n" % (len(INNER), INNER) + _NONE, [200]),
    "several at once": (_get(b"/healthz") * 12, [200] * 12),
    "several, one of them no request": (
        _get(b"/healthz") + b"\x00" + _END + _END + INNER,
        [200, 400],
    ),
    # Where does it lead?
    "absolute": (_get(b"http://169.254.169.254/healthz"), [200]),
    "absolute, another's": (_get(b"http://page.example/latest/meta-data/instance-id"), [403]),
    "another's name": (_get(b"/latest/meta-data/", b"Host: page.example\r\n"), [403]),
    "two names": (_get(b"/latest/meta-data/", _HOST + b"Host: page.example\r\n"), [403]),
    "a user": (_get(b"http://a@169.254.169.254/latest/meta-data/"), [403]),
    "authority": (b"CONNECT page.example:443 HTTP/1.1\r\n" + _HOST + _END, [404]),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\n" + _HOST + _END, [404]),
    "out of the root": (_get(b"/latest/../../../../etc/passwd"), [404]),
    "encoded": (_get(b"/latest/%2e%2e/%2e%2e/etc/passwd"), [404]),
    "encoded twice": (_get(b"/latest/%252e%252e/%252e%252e/etc/passwd"), [404]),
    "overlong UTF-8": (_get(b"/latest/%c0%ae%c0%ae/etc/passwd"), [404]),
    "backslashes": (_get(b"/latest/..\\..\\etc\\passwd"), [404]),
    "an encoded slash": (_get(b"/latest%2Fmeta-data%2finstance-id"), [200]),
    "an encoded NUL": (_get(b"/latest/meta-data/instance-id%00"), [404]),
    "a NUL": (_get(b"/latest/meta-data/instance-id\x00"), [400]),
    "bytes beyond ASCII": (_get(b"/latest/\xff\xfe"), [404]),
    "a new line": (_get(b"/healthz%0d%0aX:y"), [404]),
    "a template": (_get(b"/latest/{{7*7}}"), [404]),
    "a long target": (_get(b"/" + b"a" * 15000), [404]),
    "too long a target": (_get(b"/" + b"a" * 20000), []),
    # What is a header?
    "a NUL in a value": (_get(b"/healthz", _HOST + b"A: \x00\r\n"), [400]),
    "a NUL in a name": (_get(b"/healthz", _HOST + b"\x00: a\r\n"), [400]),
    "no name": (_get(b"/healthz", _HOST + b": a\r\n"), [400]),
    "no colon": (_get(b"/healthz", _HOST + b"Metadata\r\n"), [400]),
    "folded": (_get(b"/healthz", _HOST + b"A: b\r\n c\r\n"), [400]),
    "a lone CR": (_get(b"/healthz", _HOST + b"A: b\rMetadata: true\r\n"), [400]),
    "a huge value": (_get(b"/healthz", _HOST + b"A: " + b"b" * 17000 + b"\r\n"), []),
    "a hundred": (_get(b"/healthz", _HOST + b"A: b\r\n" * 100), [200]),
    "a thousand": (_get(b"/healthz", _HOST + b"A: b\r\n" * 1000), [400]),
    "bytes in the user agent": (_get(b"/healthz", _HOST + b"User-Agent: \xe9\xff\r\n"), [200]),
    # Is it HTTP at all?
    "nothing": (b"", []),
    "new lines": (b"\r\n" * 100, [400]),
    "TLS": (bytes.fromhex("160301004a010000460303") + b"\x00" * 70, []),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", [400]),
    "a version of its own": (b"GET /healthz HTTP/1.10\r\n\r\n", [400]),
    "a method in lower case": (b"get /healthz HTTP/1.1\r\n" + _HOST + _END, [405]),
    "half a request": (b"GET /healthz HT", []),
    "half a body": (_POST + b"Content-Length: 9\r\n\r\nabc", []),
}
