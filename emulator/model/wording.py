"""What a type allows, said to people; the reference page and every message use the same words."""

from __future__ import annotations

from msgspec import NODEFAULT, inspect

from emulator.model.instance import Content

CONTENT_WORDS = "text, or a mapping with one of text, file, base64, and template"


def allowed(kind: inspect.Type) -> str:
    """Say what ``kind`` accepts: ``text of at most 255 characters``, ``one of ssh, x509``."""
    if isinstance(kind, inspect.Metadata):
        said = (kind.extra or {}).get("allowed")
        return said if isinstance(said, str) else allowed(kind.type)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(map(allowed, kind.types))
    if isinstance(kind, inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in kind.values)
    if isinstance(kind, inspect.StructType):
        return _struct(kind)
    say = _SAY.get(type(kind))
    if say is not None:
        return say
    return _sized(kind)


_SAY: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.FloatType: "a number",
    inspect.NoneType: "nothing",
    inspect.AnyType: "anything",
    inspect.CustomType: "anything",
}


def _sized(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.IntType):
        return "a whole number" + _range(kind.ge, kind.le)
    if isinstance(kind, inspect.StrType):
        if kind.pattern is not None:
            return f"text that matches {kind.pattern}"
        return "text" + _size(kind.min_length, kind.max_length, "characters")
    if isinstance(kind, inspect.VarTupleType):
        return "a list" + _size(kind.min_length, kind.max_length, "items")
    if isinstance(kind, inspect.DictType):
        return "a mapping" + _size(kind.min_length, kind.max_length, "entries")
    raise AssertionError(kind)


def _struct(kind: inspect.StructType) -> str:
    if kind.cls is Content:
        return CONTENT_WORDS
    names = ", ".join(field.encode_name for field in kind.fields)
    return f"a mapping with {names}" if names else "an empty mapping"


def _range(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None:
        return f" of at least {least}"
    return "" if most is None else f" of at most {most}"


def _size(least: int | None, most: int | None, unit: str) -> str:
    if least and most is not None:
        return f" of {least} to {most} {unit}"
    if least:
        return f" of at least {least} {unit}"
    return "" if most is None else f" of at most {most} {unit}"


def default(field: inspect.Field) -> object:
    """Give the default of a field, ``msgspec.NODEFAULT`` where it is required."""
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default
