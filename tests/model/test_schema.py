"""The JSON Schema and the reference page say what the types say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from emulator.cli import schema as command
from emulator.dialects import VOCABULARY as REAL
from emulator.model.document import plain
from emulator.model.reference import reference
from emulator.model.schema import DRAFT, schema
from emulator.model.vocabulary import Vocabulary
from emulator.sources.compose import compose
from tests.model.conftest import VOCABULARY
from tests.model.test_mistakes import FIELDS

ROOT = Path(__file__).parent.parent.parent
FIXTURES = sorted((ROOT / "fixtures/instances").rglob("*.yaml"))

# What only several fields, a file or an algorithm can show, or the size of bytes.
BEYOND = {
    "host like an address", "vendor_data2 nan", "vendor_data2 size", "content base64",
    "content file", "content size", "climbing path", "root path", "double slash", "paths again",
    "audiences", "peer", "peer scope", "peer again", "peer socket", "mac missing", "mac group",
    "mac zero", "mac again", "mtu small", "mtu v6", "address", "address bare", "address mask",
    "address prefix", "network", "broadcast", "multicast", "service", "two ways", "dhcp again",
    "address again", "gateway", "gateway outside", "gateway nowhere", "gateway self", "gateways",
    "route to", "route via", "route family", "route outside", "route again", "dns", "public",
    "names", "bond name", "bond of strangers", "bond of itself", "bonds", "bond member",
    "bond vlan", "vlan link", "vlan alone", "policy rate nan", "section needed", "key options",
    "key empty", "key lines", "key bare type", "key base64", "key cut", "key other type",
    "key of nothing", "key empty body", "key names", "certificate", "certificate cut",
    "certificate short", "certificate length",
}  # fmt: skip


def validator(vocabulary: Vocabulary) -> jsonschema.Draft202012Validator:
    found = schema(vocabulary)
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


VALIDATOR, REAL_VALIDATOR = validator(VOCABULARY), validator(REAL)


def value(text: str) -> Any:
    return plain(compose(text, "vm.yaml"))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_fixtures_are_valid(path: Path) -> None:
    REAL_VALIDATOR.validate(value(path.read_text()))


def test_there_are_fixtures() -> None:
    assert len(FIXTURES) >= 9


# Python's "$" lets a final newline pass, which JSON Schema's (ECMA-262's) does not.
@pytest.mark.parametrize("name", [n for n in FIELDS if n not in BEYOND | {"final newline"}])
def test_what_the_model_refuses_the_schema_refuses(name: str) -> None:
    assert not VALIDATOR.is_valid(value(f"name: vm\n{FIELDS[name][0]}\n"))


@pytest.mark.parametrize("name", sorted(BEYOND - {"vendor_data2 nan", "policy rate nan"}))
def test_the_schema_leaves_the_rest_to_check(name: str) -> None:
    assert VALIDATOR.is_valid(value(f"name: vm\n{FIELDS[name][0]}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "dialects: [alpha, beta]",
        "dialects: {alpha: on, beta: {limit: 3, pairs: [x], table: {a: 1}, free: [1]}}",
        "dialects: {alpha: 'on', beta: }",
        "dialects:",
        "public_keys: {a: k, b: {key: k, type: x509}}",
        "public_keys: [k, {name: a, key: k}]",
        "user_data: {file: a, template: true}",
        "user_data:",
        "tokens: [vault, {audience: x, lifetime: 60}]",
        "beta: {account: a, choices: {inner: {}}}",
    ],
)
def test_every_spelling_is_valid(text: str) -> None:
    VALIDATOR.validate(value(f"name: vm\n{text}\n"))


def test_the_schema_carries_meanings_and_defaults(vocabulary: Vocabulary) -> None:
    found = schema(vocabulary)
    assert found["$schema"] == DRAFT
    assert found["required"] == ["name"]
    assert found["properties"]["type"]["default"] == "standard"
    assert "default" not in found["properties"]["uuid"]
    assert found["properties"]["dialects"]["default"] == ["alpha", "beta"]
    assert found["$defs"]["Choices"]["properties"]["limit"] == {
        "type": "integer",
        "minimum": 1,
        "default": 5,
    }
    assert found["$defs"]["Route"]["required"] == ["to", "via"]
    assert all("description" in field or "$ref" in field for field in found["properties"].values())


def test_the_page_has_every_field_and_dialect(vocabulary: Vocabulary) -> None:
    page = reference(vocabulary)
    for name in schema(vocabulary)["properties"]:
        assert f"`{name}`" in page
    assert "### `dialects.beta`" in page
    assert "Nothing to choose but on or off." in page
    assert "| `on` | true or false | `false` |  |" in page
    assert "| `choices` | [Choices](#choices) |  |  |" in page
    assert "#### Choices" in page
    assert "#### Plain" in page


def test_the_page_in_docs_is_this_one() -> None:
    stale = "write it again: imds-emulator schema --reference > docs/instance.md"
    assert (ROOT / "docs/instance.md").read_text() == command.page(), stale
