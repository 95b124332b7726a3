"""What admission is told by a machine's annotations before there is a pod."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.dialects import VOCABULARY
from emulator.errors import ConfigError
from emulator.sources.admission import Described, concerned, described, wanted
from emulator.sources.annotations import ANNOTATIONS, PREFIX
from emulator.sources.audiences import Audience
from emulator.sources.reference import reference
from emulator.sources.wishes import Wishes


def machine(**annotations: str) -> Described:
    named = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
    return described(named, VOCABULARY, name="web-1", namespace="shop", service_account="web")


def problems(**annotations: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        machine(**annotations)
    return [
        str(problem).replace("metadata.annotations: ", "").replace(PREFIX, "")
        for problem in error.value.problems
    ]


def test_nothing_said_is_the_default() -> None:
    found = machine()
    assert found.wishes == Wishes()
    vm = found.instance
    assert (vm.name, vm.namespace, vm.service_account) == ("web-1", "shop", "web")
    assert list(vm.dialects) == ["openstack", "kubevirt"]


def test_every_wish_is_heard() -> None:
    wishes = machine(
        enabled="true",
        persona="aws",
        bridge_name="k6t-net1",
        plumbing="plugin",
        user_data_secret="cloud-config",
        vendor_data_configmap="vendor.v1/config.yaml",
        templates_configmap="mine",
        token_audiences="vault, sts=https://sts.example;7200",
        token_seconds="600",
        audit="false",
        log_level="debug",
    ).wishes
    assert wishes == Wishes(
        enabled=True,
        persona="aws",
        bridge="k6t-net1",
        plumbing="plugin",
        user_data_secret="cloud-config",
        vendor_data_config_map="vendor.v1/config.yaml",
        templates="mine",
        audiences=(
            Audience("vault", "vault"), Audience("https://sts.example", "sts", 7200),
        ),
        token_seconds=600,
        audit=False,
        log_level="debug",
    )  # fmt: skip


@pytest.mark.parametrize("persona", sorted(VOCABULARY.personas))
def test_a_persona_chooses_dialects_and_one_by_one_wins(persona: str) -> None:
    names = set(VOCABULARY.personas[persona])
    assert set(machine(persona=persona).instance.dialects) == names
    assert list(machine(persona=persona, dialects="azure").instance.dialects) == ["azure"]


@pytest.mark.parametrize(
    "dialects", [{"persona": "aws"}, {"dialects": "ec2,kubevirt"}, {"dialects": "{ec2: on}"},
                 {"dialects": "{ec2: {tags: off}}"}],
)  # fmt: skip
def test_the_policy_of_session_tokens(dialects: Mapping[str, str]) -> None:
    policy = machine(imdsv2="required", hop_limit="2", **dialects).instance.dialects["ec2"]
    assert getattr(policy, "tokens", "") == "required"
    assert getattr(policy, "hop_limit", 0) == 2


OFF = (
    "for a machine without the dialect ec2; allowed: ec2 among dialects, or a persona that has it"
)


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"imdsv2": "required"}, [f"imdsv2: found imdsv2 {OFF}"]),
        ({"imdsv2": "required", "dialects": "{ec2: off}"}, [f"imdsv2: found imdsv2 {OFF}"]),
        (
            {"imdsv2": "optional", "dialects": "{ec2: {tokens: required}}"},
            ["imdsv2: found imdsv2 beside tokens in dialects; allowed: one of the two"],
        ),
        (
            {"imdsv2": "always", "persona": "aws"},
            ['imdsv2: found "always"; allowed: one of auto, observe, optional, required'],
        ),
        (
            {"imdsv2": "required", "dialects": "ec2,ec2"},
            ['dialects: found the dialect "ec2" again; allowed: each dialect once'],
        ),
        (
            {"imdsv2": "required", "dialects": "3"},
            [("dialects: found the number 3; allowed: a list of dialects, or a mapping of "
             "dialects to on, off, or their policy")],
        ),
        (
            {"persona": "AWS"},
            ['persona: found "AWS"; allowed: one of aws, azure, default, gcp, nocloud'],
        ),
        (
            {"user-data-secret": "a", "user-data": "b"},
            ["secrets: found a mounted Secret beside user-data; allowed: one of the two"],
        ),
        (
            {"user-data-secret": "a", "user-data-configmap": "b"},
            [("user-data-configmap: found user-data-configmap beside user-data-secret; "
             "allowed: one of the two")],
        ),
        (
            {"user-data-secret": "../a"},
            [('user-data-secret: found "../a"; allowed: NAME or NAME/KEY of one in the VM\'s '
             "namespace")],
        ),
        *(
            (
                {"user-data-secret": name},
                [(f'user-data-secret: found "{name}"; allowed: NAME or NAME/KEY of one in the '
                 "VM's namespace")],
            )
            for name in ("a..b", "a.-b", "-a", "A", "a/..", "a/.", "a/..b", "a/", "a/b/c", "a/b ")
        ),
        *(
            (
                {"bridge-name": name},
                [(f'bridge-name: found "{name}"; allowed: the name of a network interface, 1 to '
                 "15 characters")],
            )
            for name in ("-x", "--help", ".", "..", "a b", "a/b", "a234567890123456")
        ),
        (
            {"token-seconds": "60"},
            ["token-seconds: found the number 60; allowed: a whole number from 600 to 4294967296"],
        ),
        (
            {"user-data-gzip": "!"},
            [("user-data-gzip: found broken base64; allowed: base64 of one gzip stream, line "
             "breaks allowed")],
        ),
        (
            {"user-data-gzip": base64.b64encode(gzip.compress(b"x")[:-1]).decode()},
            [("user-data-gzip: found a gzip stream that is cut off, or goes on; allowed: base64 "
             "of one gzip stream, line breaks allowed")],
        ),
        (
            {"tag": "a=b", "enabled": "yes"},
            ["tag: found an unknown annotation; allowed: tags (the nearest name)",
             'enabled: found "yes"; allowed: true or false'],
        ),
    ],
)  # fmt: skip
def test_mistakes_name_the_annotation(annotations: dict[str, str], expected: list[str]) -> None:
    found = problems(**{key.replace("-", "_"): value for key, value in annotations.items()})
    assert found == [line.replace("secrets: ", "user-data-secret: ") for line in expected]


def test_names_that_kubernetes_takes_are_taken() -> None:
    """A label of an object's name may be longer than a namespace's."""
    long = "a" * 253
    for name in ("a", "a.b-c.1d", long, f"{long}/{long}", "a/.b", "a/b..c", "a/-_.B"):
        assert machine(user_data_secret=name).wishes.user_data_secret == name
    assert problems(templates_configmap=f"{long}a")


def test_what_cannot_be_a_key_is_no_line_of_the_pod_s_file() -> None:
    """Kubernetes does not check the keys in a VirtualMachine's template."""
    for key in ('tags="a=b"\nimds.kubevirt.io/meta', "a b", 'x="', "\x00", ""):
        with pytest.raises(ConfigError) as error:
            described({PREFIX + key: "x"}, VOCABULARY, name="web-1", namespace="shop")
        [problem] = error.value.problems
        assert (problem.field, problem.found) == (PREFIX + key, "an unknown annotation")


def test_values_of_all_annotations_together_stay_few() -> None:
    """Admission holds them all at once, for a whole cluster."""
    many = "{a: &a [" + "x," * 300 + "], b: [" + "*a," * 300 + "]}"
    readers = [row.name for row in ANNOTATIONS if row.spelling in {"yaml", "pairs", "dialects"}]
    found = problems(**dict.fromkeys((*readers, "ec2", "gce", "azure"), many))
    said = "found more than 10000 values; allowed: a smaller document"
    assert len([line for line in found if said in line]) == len(readers) + 3


def test_an_annotation_that_is_near_to_none() -> None:
    [said] = problems(colour="red")
    assert said.startswith("colour: found an unknown annotation; allowed:  with one of audit")


def test_packed_user_data_is_unpacked() -> None:
    text = b"#cloud-config\n" + b"# long\n" * 10_000
    packed = base64.encodebytes(gzip.compress(text)).decode()
    vm = machine(user_data_gzip=packed, template_user_data="true").instance
    assert vm.user_data is not None
    assert (vm.user_data.data, vm.user_data.template) == (text, True)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = base64.b64encode(gzip.compress(bytes(64 << 20))).decode()
    assert problems(user_data_gzip=bomb) == [
        "user-data-gzip: found 16777217 bytes; allowed: at most 16777216 bytes"
    ]


def test_a_secret_may_hold_templates() -> None:
    vm = machine(user_data_secret="a", template_user_data="true").instance
    assert vm.user_data is not None
    assert vm.user_data.template


@pytest.mark.parametrize(
    "path",
    [
        "/run/imds/keys/session.key",
        "../keys/identity.key",
        "a/b",
        "..data",
        ".x",
        "/proc/self/mem",
    ],
)
def test_annotations_name_no_file_of_the_sidecar_s(path: str) -> None:
    """Who writes annotations is not who runs the sidecar."""
    chosen = json.dumps({"credentials": {"role": "web", "provider": "file", "file": path}})
    [said] = problems(persona="aws", ec2=chosen)
    allowed = "the name of a file in the pod's secrets"
    assert said == f'ec2.credentials.file: found the file "{path}"; allowed: {allowed}'
    named = json.dumps({"credentials": {"role": "web", "provider": "file", "file": "user-data"}})
    assert machine(persona="aws", ec2=named, user_data_secret="a").instance.sections


def test_annotations_start_no_program() -> None:
    chosen = json.dumps({"credentials": {"role": "w", "provider": "process", "command": ["id"]}})
    [said] = problems(persona="aws", ec2=chosen)
    assert said.startswith("ec2.credentials.command: found a program; allowed: none")


def test_who_is_concerned() -> None:
    assert not concerned({"other/enabled": "true"})
    assert concerned({f"{PREFIX}enable": "true"})
    assert not wanted({f"{PREFIX}enabled": "false"})
    assert wanted({f"{PREFIX}enabled": "true"})


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["true", "3", "[]", "{}", "a,b", "a=b", "web", "aws", "ec2", "required", "{ec2: {}}"]
)


@given(st.dictionaries(st.sampled_from([row.name for row in ANNOTATIONS]), VALUES, max_size=5))
def test_whatever_is_written_is_described_or_named(annotations: dict[str, str]) -> None:
    try:
        machine(**annotations)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - either may be
        for problem in error.problems:
            assert problem.field.startswith(PREFIX), problem


def test_the_page_is_complete() -> None:
    page = reference(VOCABULARY)
    for row in ANNOTATIONS:
        [line] = [line for line in page.splitlines() if line.startswith(f"| `{PREFIX}{row.name}`")]
        meaning = line.rsplit("|", 2)[1].strip()
        assert meaning, line
    assert (
        "| `imds.kubevirt.io/imdsv2` | text as it is | one of auto, observe, optional, required |"
        in page
    )
