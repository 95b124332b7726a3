"""An instance becomes one snapshot: every dialect that it has, shared where equal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tornado.httputil import HTTPHeaders

from emulator.core.message import Answer, Request
from emulator.core.snapshot import Snapshot
from emulator.errors import ConfigError, StartError
from emulator.render import Renderer, Templates
from emulator.render.sealed import unsigned
from tests.server.support import instance
from tests.support.ports import FakePorts


@pytest.fixture
def renderer(fake_ports: FakePorts) -> Renderer:
    return Renderer(Templates(), fake_ports.ports)


def body(snapshot: Snapshot, path: str) -> bytes:
    decision = snapshot.decide(Request("GET", path, "", HTTPHeaders()))
    assert isinstance(decision.answer, Answer)
    assert decision.answer.status == 200, path
    return decision.answer.body


def test_user_data_is_served_byte_for_byte(tmp_path: Path, renderer: Renderer) -> None:
    text = "name: a\nuser_data: {base64: AAH/e3sgeCB9fQ==}"
    snapshot = renderer.snapshot(instance(tmp_path, text))
    assert body(snapshot, "/openstack/latest/user_data") == b"\x00\x01\xff{{ x }}"


def test_user_data_that_looks_like_a_placeholder_is_data(
    tmp_path: Path, renderer: Renderer
) -> None:
    text = "name: a\nuser_data: " + "seed" * 171
    snapshot = renderer.snapshot(instance(tmp_path, text))
    assert body(snapshot, "/openstack/latest/user_data") == b"seed" * 171


def test_a_mistake_in_user_data_names_file_and_line(tmp_path: Path, renderer: Renderer) -> None:
    text = "name: a\nuser_data:\n  template: true\n  text: |\n    one\n    {{ nobody }}\n"
    with pytest.raises(ConfigError, match=r"described\.yaml:6: a: user_data: found"):
        renderer.snapshot(instance(tmp_path, text))


@pytest.mark.parametrize("text", ["[]", '{"a": 1'])
def test_a_tree_that_is_none_is_said(tmp_path: Path, fake_ports: FakePorts, text: str) -> None:
    own = tmp_path / "templates" / "ec2_v1"
    own.mkdir(parents=True)
    (own / "meta-data.j2").write_text(text)
    renderer = Renderer(Templates(str(tmp_path / "templates")), fake_ports.ports)
    with pytest.raises(ConfigError, match="not the JSON it should be"):
        renderer.snapshot(instance(tmp_path, "name: a"))


def test_anyone_is_told_of_health_and_nothing_else(renderer: Renderer) -> None:
    snapshot = renderer.anyone()
    assert body(snapshot, "/healthz") == b"OK"
    assert set(snapshot.layout.slots) == {"/healthz"}


def test_user_data_is_expanded_only_where_asked(tmp_path: Path, renderer: Renderer) -> None:
    text = "name: a\nuser_data: {text: '{{ instance.name }}!', template: %s}"
    for wish, expected in (("true", b"a!"), ("false", b"{{ instance.name }}!")):
        snapshot = renderer.snapshot(instance(tmp_path, text % wish))
        assert body(snapshot, "/openstack/latest/user_data") == expected


def test_files_are_expanded_too(tmp_path: Path, renderer: Renderer) -> None:
    text = (
        "name: a\nfiles:\n"
        "  - {path: /a, content: {text: '{{ instance.name }}', template: true}}\n"
        "  - {path: /b, content: '{{ instance.name }}'}\n"
    )
    snapshot = renderer.snapshot(instance(tmp_path, text))
    assert body(snapshot, "/openstack/content/0000") == b"a"
    assert body(snapshot, "/openstack/content/0001") == b"{{ instance.name }}"


def test_vendor_data_is_expanded_too(tmp_path: Path, renderer: Renderer) -> None:
    text = "name: a\nvendor_data: {text: '#cloud-config {{ instance.name }}', template: true}"
    snapshot = renderer.snapshot(instance(tmp_path, text))
    assert b"#cloud-config a" in body(snapshot, "/openstack/latest/vendor_data.json")


def test_equal_policies_share_their_areas(tmp_path: Path, renderer: Renderer) -> None:
    one = renderer.snapshot(instance(tmp_path, "name: a"))
    two = renderer.snapshot(instance(tmp_path, "name: b"))
    assert one.layout is two.layout


def test_output_that_should_be_json_and_is_not_is_said(
    tmp_path: Path, fake_ports: FakePorts
) -> None:
    own = tmp_path / "templates" / "openstack"
    own.mkdir(parents=True)
    (own / "meta_data.json.j2").write_text('{"a": }')
    renderer = Renderer(Templates(str(tmp_path / "templates")), fake_ports.ports)
    with pytest.raises(ConfigError, match=r"meta_data\.json.*not the JSON"):
        renderer.snapshot(instance(tmp_path, "name: a"))


def test_an_added_document_is_listed_and_served(tmp_path: Path, fake_ports: FakePorts) -> None:
    own = tmp_path / "templates" / "openstack"
    own.mkdir(parents=True)
    (own / "site.json.j2").write_text('{"name": {{ instance.name | json }} }')
    renderer = Renderer(Templates(str(tmp_path / "templates")), fake_ports.ports)
    snapshot = renderer.snapshot(instance(tmp_path, "name: a"))
    assert json.loads(body(snapshot, "/openstack/latest/site.json")) == {"name": "a"}
    assert b"site.json" in body(snapshot, "/openstack/latest").split(b"\n")


def test_where_nothing_signs_a_signature_is_an_error(fake_ports: FakePorts) -> None:
    with pytest.raises(StartError, match="no key to sign with"):
        unsigned("pkcs7", b"document")
