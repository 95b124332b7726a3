"""The reference page of the description, made from the types that read it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import NODEFAULT, inspect

from emulator.model.instance import Content, Instance
from emulator.model.schema import struct_fields, summary
from emulator.model.vocabulary import Vocabulary
from emulator.model.wording import allowed, default

_HEAD = """\
# The instance description

One YAML file describes one virtual machine. Only `name` is needed:

```yaml
name: web-1
public_keys:
  - ssh-ed25519 AAAA... ada@example
```

Every other field has the default below, the same on every host and after every restart.
`imds-emulator check PATH` names each mistake with its file and line, what was found and what is
allowed. `imds-emulator schema` prints a JSON Schema for editors: save it beside the description
and start that with `# yaml-language-server: $schema=./schema.json`.

A VM of KubeVirt is described by [annotations](annotations.md) instead, which become these fields.

## Spellings

- Numbers, `on`/`off`, `yes`/`no` and `true`/`false` are not text: quote them where text is wanted.
  Dates and `52:54:00:12:34:56` are text.
- `public_keys` is a mapping of names to keys, a list of keys (named by their comments), or a list
  of mappings with `name`, `key` and `type`.
- `user_data`, `vendor_data` and the content of a file are text, or a mapping with one of `text`,
  `file` (relative to the description) or `base64`. Their bytes are served as they are, unless
  `template: true` beside them asks for expansion.
- `tokens` may list audiences as plain text.
- `dialects` is a list of names, or a mapping of names to `on`, `off` or a policy.
- Paths are relative to the description. Anchors, aliases and `<<` work; a file has at most 4 MiB
  and, with aliases followed, 100,000 values and 32 MiB of text in at most 64 levels.

## Rules between fields

- Names of interfaces, keys, files and audiences are unique, and so are MAC addresses of physical
  interfaces and the static addresses of a machine.
- Gateways lie in a network of their interface, or are link-local IPv6 addresses.
- A static address stands for one host; the destination of a route has no host bits.
- Members of a bond are physical interfaces, each in one bond, without addresses; a VLAN stands on
  another interface, without circles; both need a name.
- An MTU is at least 68, with IPv6 at least 1280.
- A key is whole, and of the type that it says.
- In a folder of descriptions a name is unique in its namespace, and a UUID, socket or peer address
  everywhere.
"""


def reference(vocabulary: Vocabulary) -> str:
    """Give the page in Markdown."""
    seen: dict[str, type[msgspec.Struct]] = {}
    parts = [_HEAD, "## Fields\n", _table(Instance, seen)]
    done: set[str] = set()
    while left := [name for name in seen if name not in done]:
        done.add(left[0])
        kind = seen[left[0]]
        parts.append(f"## {left[0]}\n\n{summary(kind)}\n")
        parts.append(_table(kind, seen))
    parts.append(_dialects(vocabulary))
    return "\n".join(parts)


def _table(kind: type[msgspec.Struct], seen: dict[str, type[msgspec.Struct]]) -> str:
    fields = [f for f in struct_fields(kind) if not (kind is Instance and f.name == "sections")]
    rows = [_row(field, seen) for field in fields]
    return "\n".join(("| Field | Type | Default | Meaning |", "|---|---|---|---|", *rows, ""))


def _row(field: inspect.Field, seen: dict[str, type[msgspec.Struct]]) -> str:
    cells = (f"`{field.encode_name}`", _type(field.type, seen), _default(field), _meaning(field))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _type(kind: inspect.Type, seen: dict[str, type[msgspec.Struct]]) -> str:
    """Say a type in words; a struct becomes a link to its own table."""
    if isinstance(kind, inspect.Metadata):
        return allowed(kind) if "allowed" in (kind.extra or {}) else _type(kind.type, seen)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(
            _type(one, seen) for one in kind.types if not isinstance(one, inspect.NoneType)
        )
    if isinstance(kind, inspect.StructType):
        return _link(kind.cls, seen)
    if isinstance(kind, inspect.VarTupleType):
        return f"{allowed(kind)}: {_type(kind.item_type, seen)}"
    if isinstance(kind, inspect.DictType):
        return f"{allowed(kind)} to {_type(kind.value_type, seen)}"
    return allowed(kind)


def _link(kind: type[msgspec.Struct], seen: dict[str, type[msgspec.Struct]]) -> str:
    if kind is Content:
        return "text, or a mapping with text, file or base64"
    seen.setdefault(kind.__name__, kind)
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _default(field: inspect.Field) -> str:
    value = default(field)
    if value is NODEFAULT:
        return "required"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, str | int | float):
        return f"`{value}`" if value != "" else ""
    if isinstance(value, tuple) and value and all(isinstance(item, str) for item in value):
        return f"`[{', '.join(value)}]`"
    return ""


def _meaning(field: inspect.Field) -> str:
    kind = field.type
    schema = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return str((schema or {}).get("description", ""))


def _dialects(vocabulary: Vocabulary) -> str:
    default_ones = ", ".join(f"`{name}`" for name in vocabulary.default)
    parts = [f"## Dialects\n\nWithout `dialects` a machine sees {default_ones}.\n"]
    for name, policy in vocabulary.policies.items():
        parts.extend(_dialect(f"dialects.{name}", policy))
        if name in vocabulary.sections:
            parts.extend(_dialect(name, vocabulary.sections[name]))
    return "\n".join(parts)


def _dialect(path: str, kind: type[msgspec.Struct]) -> Iterator[str]:
    seen: dict[str, type[msgspec.Struct]] = {}
    if not struct_fields(kind):
        yield f"### `{path}`\n\nNothing to choose but on or off.\n"
        return
    yield f"### `{path}`\n\n{summary(kind)}\n"
    yield _table(kind, seen)
    done: set[str] = set()
    while left := [name for name in seen if name not in done]:
        done.add(left[0])
        inner = seen[left[0]]
        yield f"#### {inner.__name__}\n\n{summary(inner)}\n"
        yield _table(inner, seen)
