"""What a type allows, said to people; the reference page and every message use the same words."""

from __future__ import annotations

from msgspec import NODEFAULT, inspect


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
        return "a mapping with " + ", ".join(field.encode_name for field in kind.fields)
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
        return "a whole number" + _between(kind.ge, kind.le, "")
    if isinstance(kind, inspect.StrType):
        if kind.pattern is not None:
            return f"text that matches {kind.pattern}"
        return "text" + _between(kind.min_length, kind.max_length, " characters", " of")
    if isinstance(kind, inspect.VarTupleType):
        return "a list" + _between(kind.min_length, kind.max_length, " items", " of")
    if isinstance(kind, inspect.DictType):
        return "a mapping" + _between(kind.min_length, kind.max_length, " entries", " of")
    raise AssertionError(kind)


def _between(least: int | None, most: int | None, unit: str, of: str = "") -> str:
    if least and most is not None:
        return f"{of or ' from'} {least} to {most}{unit}"
    if most is not None:
        return f"{of or ' of'} at most {most}{unit}"
    if least:
        return f"{of or ' of'} at least {least}{unit}"
    return ", 0 or more" if least == 0 and not unit else ""


def default(field: inspect.Field) -> object:
    """Give the default of a field, ``msgspec.NODEFAULT`` where it is required."""
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default
