"""What no client would send: bytes that are nearly HTTP, drawn from a source of chance.

The shapes are those that servers have fallen for: requests in requests, targets in every form and
encoding, headers twice or huge, bodies of two lengths, several requests at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import TypeVar

from tests.support.guest import COMPLETE, Guest

T = TypeVar("T")

# Whatever a dialect can be had to do: credentials, writing, sessions, approving.
DESCRIPTION = f"""\
{COMPLETE}
ec2: {{credentials: {{role: web}}}}
tokens: [{{audience: ""}}, {{audience: vault}}]
dialects:
  azure: {{}}
  ec2: {{tokens: optional}}
  gce: {{guest_attributes: enabled}}
  kubevirt: {{tokens: optional}}
  nocloud: {{}}
  openstack: {{}}
"""
INNER = b"GET /latest/meta-data/instance-id?inner HTTP/1.1\r\nHost: metadata\r\n\r\n"

_METHODS = (b"GET", b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE")
_ODD_METHODS = (b"CONNECT", b"get", b"PRI", b"G\x00T", b"\xff", b"", b"GET ", b"A" * 300, b"G(T")
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")
_ODD_VERSIONS = (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1", b"HTTP/1.1 ", b"", b"H\x00")
_HOSTS = (b"metadata", b"169.254.169.254", b"[fe80::1%25eth0]:80", b"localhost", b"127.0.0.1:80")
_ODD_HOSTS = (b"page.example", b"", b"[", b"a@b", b"[::1", b"1.2.3.4:x", b"\xff", b"x" * 9000)
_DOTS = (
    *(b"..", b"%2e%2e", b"%2E.", b".%2e", b"%252e%252e", b"..%00", b"..;", b"..\\", b"%2e%2e%2f"),
    *(b"%c0%ae%c0%ae", b"%u002e%u002e", b"\xc0\xae", b"..%c0%af", b"..%ef%bc%8f", b"%%32%65"),
)
_JUNK = (
    *(b"\x00", b"%00", b"\xff", b"%ff", b"\xc3\xa9", b"%", b"%zz", b"%2", b"\\", b";a=b", b"#a"),
    *(
        b"\t",
        b"\x0b",
        b"\x7f",
        b"{{7*7}}",
        b"%0d%0aX:1",
        b"\r",
        b"\xe2\x80\xae",
        b"~",
        b"//",
        b"@",
    ),
)
_QUERIES = (
    *(b"recursive=true", b"alt=json", b"alt=text", b"timeout_sec=0&wait_for_change=true"),
    *(
        b"api-version=2021-02-01",
        b"api-version=2018-02-01&resource=a",
        b"format=text",
        b"audience=",
    ),
    *(b"audience=" + b"a" * 3000, b"a=b&" * 500, b"api-version=2021-02-01&extended=true", b"&&=;"),
    *(b"comp=goalstate", b"format=full", b"scopes=%ff,%00", b"last_etag=\x00", b"%61pi-version=1"),
)
_WANTED = (b"Metadata: true", b"Metadata-Flavor: Google")
_LINES = (
    *(b"Metadata: false", b"Metadata-Flavor: x", b"X-aws-ec2-metadata-token: x"),
    *(b"X-aws-ec2-metadata-token-ttl-seconds: 60", b"x-ms-version: 2012-11-30", b"Accept: */*"),
    *(
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: Host",
        b"Expect: 100-continue",
    ),
    *(
        b"X-Forwarded-For: 10.0.0.1",
        b"X-Instance-ID: x",
        b"X-Tenant-ID: x",
        b"User-Agent: \xe9\xff",
    ),
    *(
        b"Upgrade: h2c",
        b"Range: bytes=0-1",
        b"If-None-Match: *",
        b"Content-Type: x",
        b"Via: 1.1 x",
    ),
)
_ODD_LINES = (
    *(
        b"no colon",
        b": empty",
        b"Metadata : true",
        b" folded: x",
        b"\tx",
        b"a: b\r\n c",
        b"A: \x00",
    ),
    *(
        b"\x00: b",
        b"\xe9: b",
        b"A: b\nB: c",
        b"A: b\rB: c",
        b"A:" + b"b" * 17000,
        b"M(: x",
        b"a:\x7f",
    ),
    *(
        b"x: y\r\n" * 900 + b"x: y",
        b"Host",
        b"User-Agent: " + b"u" * 9000,
        b"A:\x0b",
        b"User-Agent:",
    ),
)
_LENGTHS = (
    b"0",
    b"3",
    b"5",
    b"70",
    b"65536",
    b"65537",
    b"-1",
    b"+5",
    b"0x5",
    b"5, 5",
    b"5, 6",
    b"",
)
_ODD_LENGTHS = (b"1_0", b"5 5", b"\xb2", b"9" * 30, b"9" * 5000, b"5;", b"\x005", b"5.0", b"1e1")
_CODINGS = (
    b"chunked",
    b"Chunked",
    b"identity",
    b"gzip, chunked",
    b"chunked, chunked",
    b"xchunked",
)
_ODD_CODINGS = (
    b"\x0bchunked",
    b"chunked\x00",
    b"chunked;q=1",
    b"",
    b"chunked, identity",
    b'"chunked"',
)
_SIZES = (
    b"3",
    b"03",
    b"3;a=b",
    b"3 ",
    b"+3",
    b"-3",
    b"0x3",
    b"3_0",
    b"g",
    b"",
    b"f" * 20,
    b"\xb2",
)
_SEGMENTS = 6
_COMPUTED = (
    *(b"/latest/api/token", b"/v1/api/token", b"/v1/token", b"/v1/token?audience=vault"),
    *(b"/v1/identity", b"/v1/identity/signature", b"/openstack/2013-04-04/password", b"/machine"),
    *(b"/computeMetadata/v1/instance/guest-attributes/a/b", b"/machine?comp=health", b"/metrics"),
    *(
        b"/computeMetadata/v1/instance/service-accounts/default/token",
        b"/readyz",
        b"/guests",
        b"/",
    ),
    *(
        b"/metadata/attested/document",
        b"/metadata/scheduledevents",
        b"/openid/v1/jwks",
        b"/healthz",
    ),
    *(
        b"/latest/meta-data/iam/security-credentials/web",
        b"/latest/dynamic/instance-identity/pkcs7",
    ),
    *(b"/computeMetadata/v1/?recursive=true", b"/metadata/identity/oauth2/token", b"/nocloud/"),
)


@cache
def paths() -> tuple[bytes, ...]:
    """Give what there is to be asked for, without the names of doors."""
    known = Guest(DESCRIPTION).snapshot.layout.slots
    all_ = sorted(path.rpartition(":")[2].encode() for path in known)
    # As many again of the few that compute.
    return (*all_, *(_COMPUTED * (len(all_) // len(_COMPUTED))))


def hostile(chance: Random) -> bytes:
    """Give what one connection sends: a few messages, and now and then a tear in them."""
    count = chance.choice((1, 1, 1, 1, 2, 3, 12))
    data = b"".join(_message(chance) for _ in range(count))
    return _torn(chance, data) if _rarely(chance, 5) else data


def _rarely(chance: Random, often: int) -> bool:
    return chance.randrange(often) == 0


def _one(chance: Random, usual: Sequence[T], odd: Sequence[T], often: int = 6) -> T:
    return chance.choice(odd if _rarely(chance, often) else usual)


def _message(chance: Random) -> bytes:
    # Half of them are messages that get past the parser.
    rare = chance.choice((1, 50))
    method = _one(chance, _METHODS, _ODD_METHODS, 12 * rare)
    version = _one(chance, _VERSIONS, _ODD_VERSIONS, 12 * rare)
    space = _one(chance, (b" ",), (b"  ", b"\t", b"", b" \x00"), 30 * rare)
    start = space.join((method, _target(chance, rare), version))
    hosts = chance.choice((1, 1, 1, 1, 0, 2)) if rare == 1 else 1
    lines = [b"Host: " + _one(chance, _HOSTS, _ODD_HOSTS, 6 * rare)] * hosts
    wanted = () if _rarely(chance, 4) else _WANTED
    more = range(chance.choice((0, 0, 1, 4)))
    lines += [*wanted, *(_one(chance, _LINES, _ODD_LINES, 8 * rare) for _ in more)]
    framing, body = _body(chance, rare)
    lines += framing
    chance.shuffle(lines)
    end = _one(chance, (b"\r\n",), (b"\n", b"\r", b"\r\r\n"), 20 * rare)
    return end.join((start, *lines)) + end + end + body


def _target(chance: Random, rare: int) -> bytes:
    path = b"/" + _segments(chance) if _rarely(chance, 4 * rare) else chance.choice(paths())
    for _ in range(chance.choice((0, 0, 1, 2)) if rare == 1 else _rarely(chance, 4)):
        path = _bent(chance, path)
    if _rarely(chance, 2):
        path += (b"&" if b"?" in path else b"?") + chance.choice(_QUERIES)
    if _rarely(chance, 8 * rare):
        scheme = chance.choice((b"http://", b"HTTPS://", b"ftp://", b"http:/", b"//", b"*", b"x:"))
        return scheme + _one(chance, _HOSTS, _ODD_HOSTS, 3) + path
    return path


def _segments(chance: Random) -> bytes:
    known = chance.choice(paths()).split(b"/")
    return b"/".join(
        chance.choice((chance.choice(known), chance.choice(_DOTS), chance.choice(_JUNK)))
        for _ in range(chance.randrange(_SEGMENTS))
    )


def _bent(chance: Random, path: bytes) -> bytes:
    at = chance.randrange(len(path) + 1)
    before, after = path[:at], path[at:]
    kind = chance.randrange(5)
    if kind == 0:
        return before + b"/" + chance.choice(_DOTS) + b"/" + after
    if kind == 1:
        return before + chance.choice(_JUNK) + after
    if kind == 2:
        return before + b"".join(b"%%%02x" % byte for byte in after[:4]) + after[4:]
    if kind == 3:
        return before + b"".join(b"%%25%02X" % byte for byte in after[:2]) + after[2:]
    return before + chance.choice((b"/" * 400, b"/.." * 2000, b"a" * 17000, b"%2f" * 300)) + after


def _body(chance: Random, rare: int) -> tuple[list[bytes], bytes]:
    content = chance.choice((b"", b"abc", b"x" * 1100, INNER, b"<a/>", b'{"StartRequests":[]}'))
    kind = chance.randrange(8) if rare == 1 else chance.choice((0, 4, 6))
    if kind < 4:
        return [], _one(chance, (b"",), (INNER, b"\r\n", b"0\r\n\r\n"), 8 * rare)
    length = str(len(content)).encode()
    if kind == 4:
        return [b"Content-Length: " + length], content
    if kind == 5:
        wrong = [_one(chance, _LENGTHS, _ODD_LENGTHS, 3) for _ in range(chance.choice((1, 1, 2)))]
        return [b"Content-Length: " + text for text in wrong], content
    name = _one(chance, (b"Transfer-Encoding: ",), (b"Transfer-Encoding : ", b"TE: "), 8 * rare)
    framing = [name + _one(chance, _CODINGS[:1], _CODINGS + _ODD_CODINGS, 2 * rare)]
    if kind == 7:
        framing.append(b"Content-Length: " + _one(chance, (length,), _LENGTHS, 2))
    return framing, _chunks(chance, content, rare)


def _chunks(chance: Random, content: bytes, rare: int) -> bytes:
    size = _one(chance, (b"%x" % len(content),), _SIZES, 4 * rare)
    end = _one(chance, (b"\r\n",), (b"\n", b"", b"\r", b"abc\r\n"), 8 * rare)
    last = _one(
        chance, (b"0\r\n\r\n",), (b"0\r\nX: y\r\n\r\n", b"0\r\n", b"", b"00;x\r\n\r\n"), 4 * rare
    )
    return size + b"\r\n" + content + end + last


def _torn(chance: Random, data: bytes) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(data) + 1)
        length = chance.choice((0, 1, 1, 2, 8, 60))
        piece = chance.choice(
            (b"", b"\x00", b"\r\n", b"\n", b"\xff", b" ", b":", data[:200], chance.randbytes(4))
        )
        data = data[:at] + piece + data[at + length :]
    return data
