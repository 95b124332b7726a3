"""Templates come from three places, run in a sandbox, and say where they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.errors import ConfigError
from emulator.model.instance import Content
from emulator.render.templates import SOURCE, Templates


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "templates"
    (folder / "openstack").mkdir(parents=True)
    return folder


def failure(own: Path, text: str) -> str:
    (own / "openstack" / "x.j2").write_text(text)
    with pytest.raises(ConfigError) as caught:
        Templates(str(own)).render("openstack", "x", {})
    return str(caught.value)


def test_the_owners_template_comes_first(own: Path) -> None:
    (own / "openstack" / "meta_data.json.j2").write_text("mine")
    templates = Templates(str(own))
    assert templates.render("openstack", "meta_data.json", {}) == b"mine"
    assert templates.added("openstack") == []


def test_what_the_owner_adds_is_named(own: Path) -> None:
    for name in ("site.json.j2", "deep/er.j2", "README", "meta_data.json.j2"):
        path = own / "openstack" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    assert Templates(str(own)).added("openstack") == ["deep/er", "site.json"]
    assert Templates(str(own)).added("nocloud") == []


def test_a_config_map_has_no_folders(tmp_path: Path) -> None:
    (tmp_path / "..1").mkdir()
    (tmp_path / "..data").symlink_to("..1")
    for name in ("openstack.meta_data.json.j2", "ec2_v1.site.j2", "README", "x.j2"):
        (tmp_path / "..1" / name).write_text("{{ nobody }}" if name == "x.j2" else "mine")
        (tmp_path / name).symlink_to(f"..data/{name}")
    templates = Templates(str(tmp_path))
    assert templates.render("openstack", "meta_data.json", {}) == b"mine"
    assert (templates.added("openstack"), templates.added("ec2_v1")) == ([], ["site"])
    with pytest.raises(ConfigError, match=r"found x\.j2; allowed: folders named openstack"):
        templates.check(["openstack", "ec2_v1"])


def test_a_mistake_in_one_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "openstack.x.j2").write_text("{{ nobody }}")
    with pytest.raises(ConfigError, match=rf"{tmp_path}/openstack\.x\.j2:1: found a template"):
        Templates(str(tmp_path)).render("openstack", "x", {})


def test_a_folder_that_is_missing_is_said() -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        Templates("/missing")


def test_a_syntax_error_names_file_and_line(own: Path) -> None:
    said = failure(own, "one\n{% if %}")
    assert said.startswith(f"{own}/openstack/x.j2:2: found a template error:")


def test_an_undefined_name_names_file_and_line(own: Path) -> None:
    said = failure(own, "one\ntwo\n{{ nobody }}")
    assert said.startswith(f"{own}/openstack/x.j2:3: found a template that fails: UndefinedError:")


def test_a_missing_template_is_said(own: Path) -> None:
    assert "no template openstack/nowhere" in failure(own, "{% include 'openstack/nowhere' %}")


@pytest.mark.parametrize(
    "escape",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum.__globals__ }}",
        "{{ dict.__base__.__subclasses__() }}",
        "{{ range(10 ** 9) | list }}",
        "{{ '%s' | format(range.__doc__.__class__) }}",
        "{{ [].append(1) }}",
        "{% include '../../pyproject.toml' %}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_hostile_template_reaches_nothing(own: Path, escape: str) -> None:
    assert "found" in failure(own, escape)


def test_a_document_cannot_grow_without_bound(own: Path) -> None:
    bomb = "{% for a in range(9999) %}{{ 'x' * 99999 }}{% endfor %}"
    assert "grows beyond" in failure(own, bomb)


def expanded(source: bytes, **variables: object) -> bytes:
    content = Content(data=source, template=True, file="web-1.yaml", line=7)
    return Templates().expand(content, variables, "user_data")


def test_a_text_is_expanded_where_its_owner_asked() -> None:
    assert expanded(b"{{ x | json }}", x=[1, "a"]) == b'[1,"a"]'


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"one\n{{ y }}", "web-1.yaml:8: user_data: found a template that fails"),
        (b"one\n\n{% if %}", "web-1.yaml:9: user_data: found a template error"),
        (b"\xff", "web-1.yaml:7: user_data"),
    ],
)
def test_a_mistake_in_it_is_found_in_its_file(source: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expanded(source)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "source",
    [b"#!/bin/sh\r\necho hi\r\n", b"  {% if true %}\n  x\n{% endif %}\n\n", b"seed" * 171],
)
def test_the_rest_of_the_text_stays_as_it_is(source: bytes) -> None:
    assert expanded(source) == source.replace(b"{% if true %}", b"").replace(b"{% endif %}", b"")


@pytest.mark.parametrize(
    "bomb",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) if range(99999) | list | length == 0 %}{% endfor %}",
        "{% set x = 'a' * 3000000000 %}",
        "{% set x = [0] * 3000000000 %}",
        "{% set x = 10 ** 1000000 %}",
        "{% set n = namespace(x='a' * 12000000) %}{% set n.x = n.x ~ n.x %}",
        "{% set n = namespace(x='a' * 12000000) %}{% set n.x = n.x + n.x %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(40) }}",
        "{{ 'x'.ljust(300000000) }}",
        "{{ '%300000000d' % 1 }}",
        "{{ '{:>300000000}'.format(1) }}",
        "{{ 'x' | center(300000000) }}",
        "{{ 'x\\n' | indent(300000000) }}",
        "{{ ('x' * 9999) | replace('x', 'y' * 9999) }}",
        "{{ range(9999) | join('y' * 9999) }}",
        "{% for i in range(99) %}{% set x = 'x' * 1000000 %}{% endfor %}",
    ],
)
def test_a_bomb_is_defused(bomb: str) -> None:
    with pytest.raises(ConfigError):
        expanded(bomb.encode())


def test_ordinary_operations_are_left_alone() -> None:
    assert expanded(b"{{ [1, 2] | join('-') }}{{ 'a\nb' | indent }}") == b"1-2a\n    b"
    assert (
        expanded(b"{{ 'aab' | replace('a', 'c') }}{{ 'aab' | replace('a', 'c', 1) }}") == b"ccbcab"
    )
    assert expanded(b"{{ 'a' | indent('> ', true) }}{{ 7 % 4 }}") == b"> a3"
    source = b"{{ 'ab' * 2 ~ (1 + 2) }}{{ 2 ** 10 }}{{ [1] + [2] }}{{ 2.0 ** 0.5 > 1 }}{{ 3 * 4 }}"
    assert expanded(source) == b"abab31024[1, 2]True12"


def test_loops_know_their_length() -> None:
    source = b"{% for x in 'ab' %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %}"
    assert expanded(source) == b"1/2False 2/2True "


def test_a_folder_of_no_dialect_is_refused(own: Path) -> None:
    (own / "openstak").mkdir()
    (own / "openstak" / "x.j2").write_text("")
    with pytest.raises(ConfigError, match="found openstak; allowed: folders named openstack"):
        Templates(str(own)).check(["openstack"])


def test_the_filters_do_what_they_say() -> None:
    source = b"{{ raw | text }} {{ raw | b64 }} {{ 'a' | b64 }}"
    assert expanded(source, raw=b"a") == b"a YQ== YQ=="


def test_every_shipped_template_compiles() -> None:
    names = list(SOURCE.rglob("*.j2"))
    assert len(names) >= 8
    templates = Templates()
    for path in names:
        name = path.relative_to(SOURCE)
        document = str(Path(*name.parts[1:])).removesuffix(".j2")
        try:
            templates.render(name.parts[0], document, {})
        except ConfigError as error:
            assert "Undefined" in str(error)  # noqa: PT017 - those without variables do not fail
