"""Descriptions without mistakes: spellings, defaults, and several mistakes at once."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.model.decode import MAX_PROBLEMS
from emulator.model.document import quoted
from emulator.model.instance import Content, File, Instance, Token

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIPcBdqH5cXdihQwcRxTJbx2DXXY4+emi2j5IRikl7sn"
PEM = """-----BEGIN CERTIFICATE-----
MIIBLzCB1qADAgECAhQ8Cl+PyIrL9IoSEUPf/d1yUjX72TAKBggqhkjOPQQDAjAY
MRYwFAYDVQQDDA1BZG1pbmlzdHJhdG9yMB4XDTI2MDEwMTAwMDAwMFoXDTQ2MDEw
MTAwMDAwMFowGDEWMBQGA1UEAwwNQWRtaW5pc3RyYXRvcjBZMBMGByqGSM49AgEG
CCqGSM49AwEHA0IABONCoMQPogZ73uV7wZECmwDoRwZe6uv3Rocpoag6cBbsdYat
UBDyCqL9Yu3fLvBcz9n/yta0W1xHAfOfljFTiJYwCgYIKoZIzj0EAwIDSAAwRQIh
APfBMn3F1hEN3x+l1IqgUFVTZ+HaWy/0ift6gv8NggpcAiARyePic9ld9dQBTn81
tEt3tAzQrmH/Afj9e4cdGENRSA==
-----END CERTIFICATE-----"""

Load = Callable[[str], Instance]


def test_a_name_is_enough(loaded: Load) -> None:
    instance = loaded("name: web-1")
    assert instance.hostname == "web-1"
    assert instance.placement.zone == "locala"
    assert len(instance.project) == 32
    assert instance.uuid == "6a18d56f-7eb0-5a9d-9f2f-1ec0256024d6"
    assert list(instance.dialects) == ["alpha", "beta"]
    assert list(instance.sections) == ["beta"]
    assert instance.tokens == (Token(),)


def test_keys_may_be_named_by_a_mapping_a_comment_or_their_number(loaded: Load) -> None:
    names = [
        [key.name for key in loaded(f"name: a\npublic_keys:{text}").public_keys]
        for text in (
            f"\n  ada: {ED} x@y\n  bob: {{key: {ED}}}",
            f"\n  - {ED} ada@host of hers\n  - {ED}\n  - {{name: carl, key: {ED}}}",
            " []",
        )
    ]
    assert names == [["ada", "bob"], ["ada@host of hers", "key-2", "carl"], []]


def test_a_certificate_keeps_its_lines(loaded: Load) -> None:
    text = msgspec.json.encode({"name": "a", "public_keys": {"c": {"key": PEM, "type": "x509"}}})
    [key] = loaded(text.decode()).public_keys
    assert (key.name, key.key, key.type) == ("c", PEM, "x509")


def test_a_certificate_may_be_short(loaded: Load) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMAEA\n-----END CERTIFICATE-----\n"
    text = msgspec.json.encode({"name": "a", "public_keys": {"c": {"key": pem, "type": "x509"}}})
    assert loaded(text.decode()).public_keys[0].key == pem.strip()


@pytest.mark.parametrize(
    ("text", "data", "template", "place"),
    [
        ("user_data: abc", b"abc", False, ("vm.yaml", 2)),
        ("user_data: {text: abc, template: on}", b"abc", True, ("vm.yaml", 2)),
        ("user_data: {text: abc, template: off}", b"abc", False, ("vm.yaml", 2)),
        ("user_data: {file: there}", b"\x00bytes", False, ("there", 1)),
        ('user_data: {base64: "AP8 \\n="}', b"\x00\xff", False, ("vm.yaml", 2)),
        ("user_data: ''", b"", False, ("vm.yaml", 2)),
        ("user_data: |\n  ünï\n", "ünï\n".encode(), False, ("vm.yaml", 3)),
        ("meta: {a: &x b}\nuser_data: *x", b"b", False, ("vm.yaml", 2)),
        ("vendor_data: &x |\n  b\nuser_data: *x", b"b\n", False, ("vm.yaml", 3)),
    ],
)
def test_contents_have_four_spellings_and_say_where_they_begin(
    *, text: str, data: bytes, template: bool, place: tuple[str, int], loaded: Load
) -> None:
    file, line = place
    expected = Content(data=data, template=template, file=file, line=line)
    assert loaded(f"name: a\n{text}").user_data == expected


def test_no_content_is_not_empty_content(loaded: Load) -> None:
    assert loaded("name: a\nuser_data: null").user_data is None


@given(st.binary(max_size=200))
def test_bytes_are_kept(data: bytes) -> None:
    from tests.model.conftest import load

    text = f"name: a\nuser_data: {{base64: '{base64.b64encode(data).decode()}'}}"
    content = load(text).user_data
    assert content is not None
    assert content.data == data


def test_tokens_may_be_audiences_and_files_are_found_beside_the_description(loaded: Load) -> None:
    instance = loaded("name: a\ntokens: [vault, {file: tok}]\npeer: {socket: s}")
    assert instance.tokens == (Token(audience="vault"), Token(file="/base/tok"))
    assert instance.peer.socket == "/base/s"
    assert loaded("name: a\ntokens: []").tokens == ()


def test_files_are_read(loaded: Load) -> None:
    text = "name: a\nfiles:\n  - {path: /a/b, content: x}"
    content = Content(data=b"x", file="vm.yaml", line=3)
    assert loaded(text).files == (File(path="/a/b", content=content),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["alpha", "beta"]),
        ("dialects:", ["alpha", "beta"]),
        ("dialects: []", []),
        ("dialects: [beta, alpha]", ["alpha", "beta"]),
        ("dialects: {beta: on, alpha: off}", ["beta"]),
        ("dialects: {beta: , alpha: {}}", ["alpha", "beta"]),
        ("dialects: {beta: {limit: 7}}", ["beta"]),
    ],
)
def test_dialects_have_three_spellings(text: str, expected: list[str], loaded: Load) -> None:
    assert list(loaded(f"name: a\n{text}").dialects) == expected


def test_policies_and_sections_have_their_types(loaded: Load) -> None:
    instance = loaded(
        "name: a\n"
        "dialects: {beta: {mode: closed, rate: 2, limit: 7, on: yes, names: [a],"
        " free: [1, {b: c}], table: {x: 1}, inner: {}}}\n"
        "beta: {account: '4711', choices: {rate: 0.5}}\n"
        "needy: {key: k}\n"
    )
    policy = msgspec.to_builtins(instance.dialects["beta"])
    assert policy["mode"] == "closed"
    assert policy["rate"] == 2.0
    assert policy["free"] == [1, {"b": "c"}]
    assert policy["inner"] == {}
    assert msgspec.to_builtins(instance.sections["beta"])["choices"]["rate"] == 0.5
    # Of a dialect that is off, but written: kept, so that switching is one line.
    assert msgspec.to_builtins(instance.sections["needy"]) == {"key": "k"}


def test_all_mistakes_come_at_once_in_their_order(problems: Callable[[str], list[str]]) -> None:
    text = """\
name: "-"
interfaces:
  - mac: 01:00:00:00:00:01
    addresses: [10.0.0.0/8]
typ: a
dialects: [alpa]
uuid: x
"""
    found = [problem.split(": found")[0] for problem in problems(text)]
    assert found == [
        "vm.yaml:1: name",
        "vm.yaml:3: interfaces[0].mac",
        "vm.yaml:4: interfaces[0].addresses[0]",
        "vm.yaml:5: typ",
        "vm.yaml:6: dialects[0]",
        "vm.yaml:7: uuid",
    ]


def test_not_more_mistakes_are_named_than_somebody_reads(
    problems: Callable[[str], list[str]],
) -> None:
    assert len(problems("\n".join(f"f{n}: x" for n in range(10_000)))) == MAX_PROBLEMS


def test_rules_between_fields_wait_for_fields_that_can_be_read(
    problems: Callable[[str], list[str]],
) -> None:
    text = "name: a\ninterfaces:\n  - mtu: x\n    mac: 01:00:00:00:00:01\nlaunch_index: -1\n"
    found = [problem.split(": found")[0] for problem in problems(text)]
    assert found == ["vm.yaml:3: interfaces[0].mtu", "vm.yaml:5: launch_index"]


def test_large_files_count_together(problems: Callable[[str], list[str]]) -> None:
    big = "x" * (1 << 20)
    files = "".join(f"  - {{path: /{n}, content: *big}}\n" for n in range(17))
    text = f"name: a\nvendor_data: &big {big}\nfiles:\n{files}"
    assert problems(text) == [
        "vm.yaml:4: files: found 17825792 bytes in all; allowed: at most 16777216 bytes in all"
    ]


def test_numbers_of_json_only(problems: Callable[[str], list[str]]) -> None:
    [found] = problems("name: a\nvendor_data2: {a: 99999999999999999999}")
    assert found.endswith("a whole number of at most 64 bits (quote it to make it text)")


@given(st.text())
def test_what_is_found_stands_on_one_line(text: str) -> None:
    try:
        shown = quoted(text)
    except UnicodeEncodeError:  # lone surrogates do not get past the sources
        return
    assert "\n" not in shown
    assert len(shown) < 500


HOSTS = st.integers(1, 250).map(lambda n: f"10.0.0.{n}")
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)


@st.composite
def interfaces(draw: st.DrawFn) -> list[dict[str, object]]:
    hosts = draw(st.lists(HOSTS, max_size=4, unique=True))
    links: list[dict[str, object]] = []
    for number, host in enumerate(hosts):
        link: dict[str, object] = {
            "mac": f"52:54:00:00:00:{number:02X}",
            "mtu": draw(st.sampled_from([0, 68, 1500, 65535])),
            "addresses": draw(st.sampled_from([[f"{host}/24"], ["dhcp4"], [], [f"{host}/8"]])),
            "dns": draw(st.lists(HOSTS, max_size=2)),
        }
        if link["addresses"] == [f"{host}/24"]:
            link["gateways"] = ["10.0.0.254"]
        links.append(link)
    if len(hosts) > 1 and "dhcp4" not in str(links[0]) and not links[0]["addresses"]:
        links[0] = {"mac": links[0]["mac"]}
        links.append({"name": "bond0", "bond": {"links": ["eth0"]}})
        links.append(
            {"name": "tagged", "vlan": {"link": "bond0", "id": draw(st.integers(1, 4094))}}
        )
    return links


DESCRIPTIONS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "namespace": NAMES,
        "hostname": st.just("a.b"),
        "uuid": st.uuids().map(lambda uuid: str(uuid).upper()),
        "type": TEXTS,
        "launch_index": st.integers(0, 1000),
        "public_keys": st.dictionaries(TEXTS, st.just(ED), max_size=3),
        "tags": st.dictionaries(TEXTS, TEXTS, max_size=3),
        "interfaces": interfaces(),
        "user_data": st.binary(max_size=50).map(
            lambda data: {"base64": base64.b64encode(data).decode(), "template": False}
        ),
        "vendor_data2": st.dictionaries(TEXTS, st.integers(-9, 9) | TEXTS, max_size=2),
        "tokens": st.lists(TEXTS, unique=True, max_size=3),
        "dialects": st.sampled_from([["alpha"], {"beta": {"limit": 3}}, [], {"alpha": True}]),
    },
)


def written(instance: Instance) -> str:
    """Write a complete instance as a description again."""
    fields = msgspec.to_builtins(instance)
    for name in ("user_data", "vendor_data"):
        if fields[name] is not None:
            fields[name] = {
                "base64": fields[name]["data"],
                "template": fields[name]["template"],
            }
    fields.update(fields.pop("sections"))
    for token in fields["tokens"]:
        token["file"] = token["file"].removeprefix("/base/")
    return msgspec.json.encode(fields).decode()


@given(DESCRIPTIONS)
def test_a_complete_instance_describes_itself(description: dict[str, object]) -> None:
    from tests.model.conftest import load

    instance = load(msgspec.json.encode(description).decode())
    assert load(written(instance)) == instance
    assert all((instance.uuid, instance.hostname, instance.project, instance.placement.zone))
    assert all(link.name and link.mac for link in instance.interfaces)
