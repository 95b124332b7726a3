"""The reference page of the annotations, made from the table and the types that read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import NODEFAULT, inspect

from emulator.model.instance import Instance
from emulator.model.schema import struct_fields
from emulator.model.vocabulary import Vocabulary
from emulator.model.wording import allowed, default
from emulator.sources.annotations import PREFIX, Annotation, table
from emulator.sources.spelled import SPELLINGS
from emulator.sources.wishes import Wishes

_HEAD = f"""\
# Annotations of a KubeVirt VM

They stand in the template of a VirtualMachine (`spec.template.metadata.annotations`); KubeVirt
copies them to the VM's pod, where the sidecar reads them. `{PREFIX}enabled: "true"` is
all that is needed. Admission refuses an unknown annotation with this prefix, naming the nearest
known one, and a value that is not allowed; annotations of others are ignored. Nothing else of the
pod reaches the guest.

A change of annotations takes effect at the VM's next start, when KubeVirt makes its pod.

"""

_TAIL = """
## In the pod

`serve --podinfo DIR` and the sidecar read a pod's projected volume:

| File | Holds |
|---|---|
| `annotations`, `labels` | the pod's, as the downward API writes them |
| `tokens/token` | the ServiceAccount token of the default audience |
| `tokens/FILE` | a token of another audience: `FILE`, or what `token-audiences` says |
| `secrets/user-data`, `secrets/vendor-data` | a mounted Secret or ConfigMap, bytes kept |
| `keys/session.key`, `keys/identity.crt`, `keys/identity.key` | the namespace's keys |
"""

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "What it is": (
        "enabled", "persona", "dialects", "imdsv2", "hop-limit", "name", "namespace",
        "service-account", "hostname", "uuid", "project", "region", "availability-zone",
        "instance-type", "image", "launch-index", "public-keys", "tags", "meta",
        "security-groups", "interfaces", "network-data",
    ),
    "User data and vendor data": (
        "user-data", "user-data-base64", "user-data-gzip", "user-data-secret",
        "user-data-configmap", "template-user-data", "vendor-data", "vendor-data-base64",
        "vendor-data-gzip", "vendor-data-secret", "vendor-data-configmap", "vendor-data2",
    ),
    "Tokens": ("token-audiences", "token-seconds", "session-epoch"),
    "The sidecar": (
        "templates-configmap", "bridge-name", "plumbing", "audit", "log-level", "injected",
    ),
}  # fmt: skip


def reference(vocabulary: Vocabulary) -> str:
    """Give the page in Markdown."""
    rows = table(vocabulary)
    grouped = {name for names in _GROUPS.values() for name in names}
    groups = {title: [rows[name] for name in names if name in rows] for title, names in
              _GROUPS.items()}  # fmt: skip
    groups["What dialects add"] = [row for name, row in rows.items() if name not in grouped]
    parts = [_HEAD]
    for title, found in groups.items():
        lines = [_line(row, vocabulary) for row in found]
        parts += [f"## {title}\n", _COLUMNS, *lines, ""]
    return "\n".join(parts) + _TAIL


# Spellings that say what is allowed.
_TELLING = frozenset({"content", "base64", "gzip", "dialects", "flag", "pairs", "lines"})

_COLUMNS = "| Annotation | Spelling | Allowed | Default | Meaning |\n|---|---|---|---|---|"


def _line(row: Annotation, vocabulary: Vocabulary) -> str:
    kind, given = _field(row, vocabulary)
    told = kind is None or row.spelling in _TELLING
    cells = (
        f"`{PREFIX}{row.name}`",
        SPELLINGS[row.spelling],
        "" if told or kind is None else allowed(kind),
        _default(given),
        row.help or _described(kind),
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _field(row: Annotation, vocabulary: Vocabulary) -> tuple[inspect.Type | None, object]:
    """Give the type and the default of what an annotation becomes, if it is a field."""
    first, *rest = (row.wish or row.field).split(".")
    struct: Any = Wishes if row.wish else Instance
    if first == "dialects" and rest:
        struct, first, rest = vocabulary.policies.get(rest[0]), rest[1], []
    while struct is not None:
        found = {field.name: field for field in struct_fields(struct)}.get(first)
        if found is None:
            break
        if not rest:
            return found.type, default(found)
        first, *rest = rest
        struct = _struct(found.type)
    return None, NODEFAULT


def _struct(kind: inspect.Type) -> type[msgspec.Struct] | None:
    inner = kind.type if isinstance(kind, inspect.Metadata) else kind
    return inner.cls if isinstance(inner, inspect.StructType) else None


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, str | int) and value != "":
        return f"`{value}`"
    return ""


def _described(kind: inspect.Type | None) -> str:
    schema = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return str((schema or {}).get("description", ""))
