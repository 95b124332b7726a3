"""What admission lets in, its sidecar can serve: the server reads and renders the pod's folder."""

from __future__ import annotations

import base64
import gzip
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.dialects import VOCABULARY
from emulator.ports import SYSTEM
from emulator.render import Renderer, Templates
from emulator.sources import load_podinfo
from emulator.sources.annotations import PREFIX
from emulator.sources.downward import write
from tests.webhook.support import causes, fixture, marked, mutated

RENDERER = Renderer(Templates(), SYSTEM)
BYTES = base64.b64encode(gzip.compress(b"#cloud-config\n")).decode()
BROKEN = base64.b64encode(gzip.compress(b"\xff")).decode()


def pod(annotations: dict[str, str]) -> dict[str, Any]:
    found = fixture("pod/launcher")
    found["metadata"]["annotations"].update(annotations)
    return found


def served(admitted: dict[str, Any]) -> None:
    """Lay out the folder as the kubelet does, and serve from it; raise ``ConfigError``."""
    metadata = admitted["metadata"]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("annotations", "labels"):
            Path(folder, name).write_bytes(write(metadata[name]))
        [instance] = load_podinfo(folder, VOCABULARY, SYSTEM)
        RENDERER.snapshot(instance)


contents = st.sampled_from(
    ["", "x", "#cloud-config\n", BYTES, BROKEN, "{{ instance.name }}", "{{", "{% x %}", "\r\n"]
)
asked = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("user_data", "user_data_base64", "user_data_gzip", "vendor_data",
             "vendor_data_base64", "vendor_data_gzip"), contents,
        ),
        "template_user_data": st.sampled_from(["true", "false"]),
        "persona": st.sampled_from(sorted(VOCABULARY.personas)),
        "dialects": st.lists(st.sampled_from(["openstack", "ec2", "kubevirt", "gce", "azure"]))
        .map(", ".join),
        "meta": st.sampled_from(['{"a/b": "c", "a": "d"}', "x=y", '{"..": ""}']),
        "tags": st.sampled_from(["a=b", '{"?": "#"}']),
        "hostname": st.sampled_from(["web", "web.example"]),
        "token_audiences": st.sampled_from(["vault", "a=b;600"]),
        "vendor_data2": st.sampled_from(["{}", '{"static": {}}', '{"a": ["\\u00e4"]}']),
    },
)  # fmt: skip


@settings(max_examples=150)
@given(annotations=asked)
def test_what_is_let_in_is_served(annotations: dict[str, str]) -> None:
    verdict = mutated(pod(marked(**annotations)))
    if verdict.allowed:
        served(verdict.object)


@pytest.mark.parametrize(
    ("annotations", "key", "found"),
    [
        ({"vendor_data_base64": BYTES}, "vendor-data-base64", "bytes that are no text"),
        ({"vendor_data_gzip": BROKEN}, "vendor-data-gzip", "bytes that are no text"),
        ({"user_data": "a\n\n{{"}, "user-data", "a template error in line 3; allowed: Jinja"),
        ({"user_data": "{{ a|b }}"}, "user-data", "a template error in line 1"),
        ({"user_data_base64": BYTES}, "user-data-base64", "bytes that are no text"),
        ({"user_data": "{{" + "(" * 5000}, "user-data", "a template that is nested too deeply"),
    ],
)
def test_a_text_that_could_not_be_served_is_refused(
    annotations: dict[str, str], key: str, found: str
) -> None:
    wanted = marked(**annotations, template_user_data="true" if "user" in key else "false")
    if "vendor" in key:
        del wanted[f"{PREFIX}template-user-data"]
    [(field, message)] = causes(mutated(pod(wanted))).items()
    assert field == f"metadata.annotations[{PREFIX}{key}]"
    assert message.startswith(f"found {found}")


def test_bytes_are_content_where_nothing_else_is_asked_of_them() -> None:
    assert mutated(pod(marked(user_data_base64=BYTES))).allowed
    assert mutated(pod(marked(vendor_data_base64=BYTES, dialects="ec2"))).allowed


def test_long_templates_are_the_sidecar_s_to_judge() -> None:
    """A compiler's work for a whole cluster is bounded; so is what a template could do here."""
    long = marked(user_data="{{" + " " * (16 << 10), template_user_data="true")
    assert mutated(pod(long)).allowed
    endless = (
        "{% for a in range(99999999) %}{% for b in range(99999999) %}{% endfor %}{% endfor %}"
    )
    assert mutated(pod(marked(user_data=endless, template_user_data="true"))).allowed
