"""JSON Schema of a description, for editors: from the same types that read it.

It knows what one field allows, in every spelling; the rules between fields are ``check``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from emulator.model import build
from emulator.model.decode import type_info
from emulator.model.instance import Content, Instance
from emulator.model.vocabulary import Vocabulary
from emulator.model.wording import default

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

# "on" and "off" are booleans to us, and to editors of YAML 1.2 are text.
_SWITCH: Schema = {"enum": [True, False, None, "on", "off"]}


def schema(vocabulary: Vocabulary) -> Schema:
    """Give the JSON Schema (2020-12) of a description with the fields of ``vocabulary``."""
    defs: dict[str, Schema] = {}
    properties = {name: _of(build.kind(name), defs) for name in build.FIELDS}
    properties["public_keys"] |= _public_keys(properties["public_keys"])
    properties["tokens"] |= _tokens(properties["tokens"])
    properties["dialects"] = _dialects(vocabulary, defs)
    for name, section in vocabulary.sections.items():
        properties[name] = _of(type_info(section), defs)
    for field in struct_fields(Instance):
        _default(properties.get(field.encode_name), field)
    return {
        "$schema": DRAFT,
        "title": "A virtual machine",
        "description": "What imds-emulator tells a machine about itself.",
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "additionalProperties": False,
        "$defs": defs,
    }


def struct_fields(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    """Give the fields of a struct with their types."""
    found: tuple[inspect.Field, ...] = type_info(kind).fields  # type: ignore[attr-defined]
    return found


def _of(kind: inspect.Type, defs: dict[str, Schema]) -> Schema:
    if isinstance(kind, inspect.Metadata):
        return _of(kind.type, defs) | (kind.extra_json_schema or {})
    if isinstance(kind, inspect.StructType):
        return {"$ref": _ref(kind, defs)}
    if isinstance(kind, inspect.UnionType):
        return {"anyOf": [_of(one, defs) for one in kind.types]}
    if isinstance(kind, inspect.LiteralType):
        return {"enum": list(kind.values)}
    return _many(kind, defs)


def _many(kind: inspect.Type, defs: dict[str, Schema]) -> Schema:
    if isinstance(kind, inspect.VarTupleType):
        limits = {"minItems": kind.min_length, "maxItems": kind.max_length}
        return {"type": "array", "items": _of(kind.item_type, defs)} | _given(limits)
    if isinstance(kind, inspect.DictType):
        limits = {"minProperties": kind.min_length, "maxProperties": kind.max_length}
        return {
            "type": "object",
            "propertyNames": _of(kind.key_type, defs),
            "additionalProperties": _of(kind.value_type, defs),
        } | _given(limits)
    return _scalar(kind)


def _scalar(kind: inspect.Type) -> Schema:
    if isinstance(kind, inspect.StrType):
        limits = {
            "minLength": kind.min_length,
            "maxLength": kind.max_length,
            "pattern": kind.pattern,
        }
        return {"type": "string"} | _given(limits)
    if isinstance(kind, inspect.IntType):
        return {"type": "integer"} | _given({"minimum": kind.ge, "maximum": kind.le})
    return dict(_PLAIN[type(kind)])


_PLAIN: Mapping[type[inspect.Type], Schema] = {
    inspect.BoolType: {"type": "boolean"},
    inspect.FloatType: {"type": "number"},
    inspect.NoneType: {"type": "null"},
    inspect.AnyType: {},
    inspect.CustomType: {},
}


def _given(limits: Mapping[str, object]) -> Schema:
    return {name: limit for name, limit in limits.items() if limit is not None}


def _ref(kind: inspect.StructType, defs: dict[str, Schema]) -> str:
    name = kind.cls.__name__
    if name not in defs:
        defs[name] = {}  # holds the place while its own fields are read
        defs[name] = _content() if kind.cls is Content else _struct(kind, defs)
    return f"#/$defs/{name}"


def _struct(kind: inspect.StructType, defs: dict[str, Schema]) -> Schema:
    properties = {field.encode_name: _of(field.type, defs) for field in kind.fields}
    for field in kind.fields:
        _default(properties[field.encode_name], field)
    return {
        "description": summary(kind.cls),
        "type": "object",
        "properties": properties,
        "required": [field.encode_name for field in kind.fields if field.required],
        "additionalProperties": False,
    }


def summary(kind: type[msgspec.Struct]) -> str:
    """Give the first line of a type's docstring."""
    return (kind.__doc__ or "").partition("\n")[0]


def _default(schema: Schema | None, field: inspect.Field) -> None:
    """Note a default that somebody could have written; derived and structured ones are not."""
    value = default(field)
    if schema is not None and value not in ("", None) and isinstance(value, str | int | float):
        schema["default"] = value


def _content() -> Schema:
    sources: dict[str, Schema] = {
        "text": {"type": "string", "description": "The text itself."},
        "file": {"type": "string", "description": "A file, relative to the description."},
        "base64": {"type": "string", "description": "Base64, line breaks allowed."},
    }
    template = {"type": "boolean", "description": "Expand it as a Jinja template."}
    return {
        "description": "Text, or where bytes come from; they are kept as they are.",
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": sources | {"template": template},
                "oneOf": [{"required": [name]} for name in sources],
                "additionalProperties": False,
            },
        ],
    }


def _public_keys(listed: Schema) -> Schema:
    """Allow a mapping of names to keys, and lines in a list."""
    line = {"type": "string", "description": "An authorized_keys line."}
    named = {
        "type": "object",
        "properties": {"key": {"type": "string"}, "type": {"enum": ["ssh", "x509"]}},
        "required": ["key"],
        "additionalProperties": False,
    }
    one = {"anyOf": [line, listed["items"]]}
    return {
        "type": ["array", "object"],
        "items": one,
        "additionalProperties": {"anyOf": [line, named]},
    }


def _tokens(listed: Schema) -> Schema:
    """Allow the text of an audience in the list."""
    audience = {"type": "string", "description": "An audience."}
    return {"items": {"anyOf": [audience, listed["items"]]}}


def _dialects(vocabulary: Vocabulary, defs: dict[str, Schema]) -> Schema:
    policies = {
        name: {"anyOf": [_SWITCH, _of(type_info(policy), defs)]}
        for name, policy in vocabulary.policies.items()
    }
    return {
        "description": "The dialects it sees: a list, or a mapping to on, off or a policy.",
        "type": ["array", "object", "null"],
        "items": {"enum": list(vocabulary.policies)},
        "uniqueItems": True,
        "properties": policies,
        "additionalProperties": False,
        "default": list(vocabulary.default),
    }
