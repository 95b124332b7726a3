"""All ``imds.kubevirt.io/...`` annotations: the one table that reads, checks and documents them.

An annotation is one text. Each row says how it is spelled, and which field of the instance it
becomes; types and limits are the field's own, so they stand in ``model.instance`` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import cast

import msgspec

from emulator.errors import ConfigError, Problem
from emulator.model.decode import MAX_PROBLEMS, suggestion
from emulator.model.document import Node, Unfit, Value, describe, quoted
from emulator.model.vocabulary import Vocabulary
from emulator.sources.compose import compose

PREFIX = "imds.kubevirt.io/"

# How JSON escapes what lies beyond 16 bits (RFC 8259, 7), which YAML does not know.
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE
)

Spelling = Callable[[Node, str], Node]


class Annotation(msgspec.Struct, frozen=True):
    """One row: ``field`` is the dotted path in the instance, empty if it is not the instance's.

    ``spelling`` names a row of ``SPELLINGS``; ``help`` says what it is for, and for whom.
    """

    name: str
    field: str
    spelling: str
    help: str


ANNOTATIONS: tuple[Annotation, ...] = (
    Annotation("name", "name", "text", "Name of the machine; by default from KubeVirt's labels."),
    Annotation("namespace", "namespace", "text", "Namespace; the pod's own wins where known."),
    Annotation(
        "service-account",
        "service_account",
        "text",
        "ServiceAccount; the pod's own wins likewise.",
    ),
    Annotation("hostname", "hostname", "text", "Host name or FQDN."),
    Annotation("uuid", "uuid", "text", "UUID; KubeVirt's `firmware.uuid` if both are to agree."),
    Annotation("project", "project", "text", "Project or tenant id."),
    Annotation("region", "placement.region", "text", "Region."),
    Annotation("availability-zone", "placement.zone", "text", "Availability zone."),
    Annotation("instance-type", "type", "text", "Instance type (flavor)."),
    Annotation("image", "image", "text", "Name or id of the image it was made from."),
    Annotation("launch-index", "launch_index", "yaml", "Place among those launched together."),
    Annotation("public-keys", "public_keys", "lines", "Keys for logging in, one on each line."),
    Annotation("tags", "tags", "pairs", "Free tags."),
    Annotation("meta", "meta", "pairs", "Free metadata that clients act upon."),
    Annotation("security-groups", "security_groups", "list", "Names of its security groups."),
    Annotation("interfaces", "interfaces", "yaml", "Network interfaces, as in a description."),
    Annotation("network-data", "interfaces", "yaml", "Another name for `interfaces`."),
    Annotation("user-data", "user_data", "content", "User data as text."),
    Annotation(
        "user-data-base64", "user_data", "base64", "User data as base64; its bytes (gzip) stay."
    ),
    Annotation(
        "template-user-data", "user_data.template", "yaml", "Expand the user data's templates."
    ),
    Annotation("vendor-data", "vendor_data", "content", "Vendor data as text."),
    Annotation("vendor-data-base64", "vendor_data", "base64", "Vendor data as base64."),
    Annotation("vendor-data2", "vendor_data2", "yaml", "OpenStack's dynamic vendor data."),
    Annotation("dialects", "dialects", "dialects", "The dialects it sees, perhaps with policies."),
    Annotation(
        "token-audiences",
        "",
        "list",
        "Audiences it may ask tokens for, each the name of a file among the pod's tokens, or "
        "`file=audience`; by default every file there.",
    ),
    Annotation("enabled", "", "flag", "For admission: whether the pod gets a metadata service."),
    Annotation("injected", "", "flag", "From admission: that the pod has got one."),
    Annotation("bridge-name", "", "text", "For the sidecar: the bridge of the guest's network."),
)

_HEAD = """\
## In a pod's annotations

`--podinfo DIR` reads a pod's downward-API volume instead of YAML: KubeVirt copies the annotations
of a machine's template to its pod. Annotations become the fields above, under the same limits. An
unknown annotation with this prefix is a mistake; all others are ignored. Nothing else of the pod
reaches the guest.

| File | Holds |
|---|---|
| `annotations`, `labels` | the pod's, as the downward API writes them |
| `tokens/token` | the ServiceAccount token of the default audience |
| `tokens/NAME` | a token of another audience: `NAME`, or what `token-audiences` says |
| `secrets/user-data`, `secrets/vendor-data` | a mounted Secret or ConfigMap, bytes kept |
"""

SPELLINGS: Mapping[str, str] = {
    "text": "text as it is",
    "lines": "one on each line; empty lines and lines starting with # do not count",
    "list": "separated by commas",
    "pairs": "a JSON object, or `key=value` separated by commas",
    "flag": "`true` or `false`",
    "yaml": "YAML or JSON",
    "content": "text, served byte for byte",
    "base64": "base64, line breaks allowed",
    "dialects": "names separated by commas, or a YAML or JSON mapping of names to policies",
}


def reference(vocabulary: Vocabulary) -> str:
    """Give the part of the reference page that is about annotations, in Markdown."""
    rows = [
        f"| `{PREFIX}{row.name}` | {f'`{row.field}`' if row.field else ''} "
        f"| {SPELLINGS[row.spelling]} | {row.help} |"
        for row in table(vocabulary).values()
    ]
    return "\n".join(
        (_HEAD, "| Annotation | Field | Spelling | Meaning |", "|---|---|---|---|", *rows, "")
    )


def table(vocabulary: Vocabulary) -> dict[str, Annotation]:
    """Give all annotations by name, with one for each section that a dialect adds."""
    rows = {row.name: row for row in ANNOTATIONS}
    for name in vocabulary.sections:
        rows.setdefault(name, Annotation(name, name, "yaml", f"What `{name}` adds."))
    return rows


def fields(
    found: Mapping[str, tuple[int, str]], file: str, vocabulary: Vocabulary, root: Node
) -> list[Problem]:
    """Add to ``root`` the instance fields that annotations give; return what is wrong with them.

    ``found`` maps keys to lines of ``file`` and values. Other keys than ours are ignored: they
    belong to others.
    """
    problems: list[Problem] = []
    rows = table(vocabulary)
    for key, (line, text) in found.items():
        if not key.startswith(PREFIX) or len(problems) >= MAX_PROBLEMS:
            continue
        node = Node(value=text, file=file, line=line, field=key, raw=text)
        row = rows.get(key.removeprefix(PREFIX))
        if row is None:
            near = suggestion(key, [PREFIX + name for name in rows])
            problems.append(node.problem("an unknown annotation", near))
            continue
        try:
            value = _READ[row.spelling](node, text)
            if row.field:
                put(root, row.field, value, key)
        except Unfit as bad:
            problems.append(node.problem(bad.found, bad.allowed))
        except ConfigError as error:
            problems += error.problems
    return problems


def put(root: Node, field: str, value: Node, key: str) -> None:
    """Put ``value``, which ``key`` gives, at the dotted path ``field``.

    Raises ``Unfit`` for what something else gives already; whether to expand templates may be
    said beside where the user data comes from.
    """
    *above, last = field.split(".")
    for name in above:
        root = _mapping(root).setdefault(name, _like(value, {}))
    inside = _mapping(root)
    before = inside.get(last)
    if last == "user_data" and before is not None and set(_mapping(before)) == {"template"}:
        _mapping(value).update(_mapping(before))
    elif before is not None:
        raise Unfit(f"{key} beside {before.field}", "one of the two")
    inside[last] = value


def _mapping(node: Node) -> dict[str, Node]:
    return cast("dict[str, Node]", node.value)  # rows with dotted fields have mappings above


def _like(node: Node, value: Value) -> Node:
    raw = value if isinstance(value, str) else node.raw
    return Node(value=value, file=node.file, line=node.line, field=node.field, raw=raw)


def _text(node: Node, _text: str) -> Node:
    return node


def _lines(node: Node, text: str) -> Node:
    lines = (line.strip() for line in text.splitlines())
    return _like(node, [_like(node, x) for x in lines if x and not x.startswith("#")])


def _list(node: Node, text: str) -> Node:
    parts = (part.strip() for part in text.split(","))
    return _like(node, [_like(node, part) for part in parts if part])


def _pairs(node: Node, text: str) -> Node:
    if text.lstrip().startswith("{"):
        return _yaml(node, text)
    pairs: dict[str, Node] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or key in pairs:
            found = f"{quoted(key)} again" if equals else quoted(part)
            raise Unfit(found, "a JSON object, or key=value,... with each key once")
        pairs[key] = _like(node, value)
        pairs[key].field = f"{node.field}.{key}"
    return _like(node, pairs)


def _flag(node: Node, text: str) -> Node:
    words = {"true": True, "false": False}
    if text not in words:
        raise Unfit(describe(node), "true or false")
    return _like(node, words[text])


def _yaml(node: Node, text: str) -> Node:
    if text.lstrip()[:1] in {"{", "["}:
        text = _SURROGATES.sub(_joined, text)
    return compose(text, node.file, node.line, node.field)


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16) & 0x3FF, int(pair[3], 16) & 0x3FF
    return f"{pair[1]}\\U{0x10000 + (high << 10 | low):08x}"


def _content(node: Node, _text: str) -> Node:
    return _like(node, {"text": node})


def _base64(node: Node, _text: str) -> Node:
    return _like(node, {"base64": node})


def _dialects(node: Node, text: str) -> Node:
    composed = _yaml(node, text)
    return _list(node, text) if isinstance(composed.value, str) else composed


_READ: Mapping[str, Spelling] = {
    "text": _text,
    "lines": _lines,
    "list": _list,
    "pairs": _pairs,
    "flag": _flag,
    "yaml": _yaml,
    "content": _content,
    "base64": _base64,
    "dialects": _dialects,
}
