"""A pod's downward-API folder becomes one instance, and tells nothing of the pod."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.errors import ConfigError
from emulator.model.decode import MAX_PROBLEMS
from emulator.model.document import Unfit
from emulator.model.instance import Instance, Token
from emulator.model.vocabulary import Vocabulary
from emulator.ports import SYSTEM
from emulator.sources import load_podinfo, open_pod, podinfo
from emulator.sources.annotations import ANNOTATIONS, PREFIX
from emulator.sources.files import Files
from emulator.sources.reference import reference
from emulator.sources.spelled import SPELLINGS
from tests.sources.test_downward import go_quote

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIPcBdqH5cXdihQwcRxTJbx2DXXY4+emi2j5IRikl7sn"


class Pod:
    """A folder that is written as the kubelet does."""

    def __init__(self, folder: Path, vocabulary: Vocabulary) -> None:
        self.folder = folder
        self._vocabulary = vocabulary
        self.write("annotations", {})
        self.write("labels", {"vm.kubevirt.io/name": "web-1", "app": "secret-internal"})

    def write(self, name: str, values: Mapping[str, str]) -> None:
        lines = [f"{key}={go_quote(value)}\n" for key, value in sorted(values.items())]
        (self.folder / name).write_text("".join(lines))

    def annotate(self, **values: str) -> None:
        self.write("annotations", {PREFIX + k.replace("_", "-"): v for k, v in values.items()})

    def load(self, **environment: str) -> Instance:
        [vm] = load_podinfo(str(self.folder), self._vocabulary, environment=environment)
        return vm

    def problems(self, **environment: str) -> list[str]:
        with pytest.raises(ConfigError) as error:
            self.load(**environment)
        return [str(p).replace(f"{self.folder}/", "") for p in error.value.problems]


@pytest.fixture
def pod(tmp_path: Path, vocabulary: Vocabulary) -> Pod:
    return Pod(tmp_path, vocabulary)


def test_a_label_is_enough(pod: Pod) -> None:
    vm = pod.load()
    assert (vm.name, vm.namespace, vm.service_account) == ("web-1", "default", "default")
    assert vm.tokens == (Token(file=f"{pod.folder}/tokens/token"),)
    assert list(vm.dialects) == ["alpha"]
    assert "secret-internal" not in str(vm)


def test_every_annotation_becomes_a_field(pod: Pod) -> None:
    pod.annotate(
        enabled="true",
        injected="true",
        bridge_name="k6t-eth0",
        name="vm",
        namespace="prod",
        service_account="app",
        hostname="vm.example",
        uuid="5F0C1A3E-9d42-4c47-8a25-6c1f8c2b7a10",
        project="p",
        region="r",
        availability_zone="z",
        instance_type="t",
        image="i",
        launch_index="3",
        public_keys=f"# mine\n{ED} ada\n\n  {ED}\n",
        tags='{"a": "1, 2"}',
        meta="k=v, dsmode=net,e=",
        security_groups="one, two,",
        interfaces="- mac: 52:54:00:12:34:56\n  addresses: [10.0.0.5/24]\n",
        user_data="#!/bin/sh\necho \u00fc\n",
        template_user_data="true",
        vendor_data_base64=base64.b64encode(gzip.compress(b"x")).decode(),
        vendor_data2='{"a": [1]}',
        dialects="beta, alpha",
        beta="account: '4711'",
    )
    vm = pod.load()
    assert (vm.name, vm.namespace, vm.service_account) == ("vm", "prod", "app")
    assert (vm.hostname, vm.uuid) == ("vm.example", "5f0c1a3e-9d42-4c47-8a25-6c1f8c2b7a10")
    assert (vm.project, vm.placement.region, vm.placement.zone) == ("p", "r", "z")
    assert (vm.type, vm.image, vm.launch_index) == ("t", "i", 3)
    assert [key.name for key in vm.public_keys] == ["ada", "key-2"]
    assert (vm.tags, vm.meta) == ({"a": "1, 2"}, {"k": "v", "dsmode": "net", "e": ""})
    assert vm.security_groups == ("one", "two")
    assert vm.interfaces[0].addresses == ("10.0.0.5/24",)
    assert vm.user_data is not None
    assert (vm.user_data.data, vm.user_data.template) == ("#!/bin/sh\necho ü\n".encode(), True)
    assert vm.vendor_data is not None
    assert gzip.decompress(vm.vendor_data.data) == b"x"
    assert vm.vendor_data2 == {"a": [1]}
    assert list(vm.dialects) == ["alpha", "beta"]
    assert getattr(vm.sections["beta"], "account", "") == "4711"


def test_other_spellings(pod: Pod) -> None:
    pod.annotate(
        network_data='[{"mac": "52:54:00:12:34:56"}]',
        dialects="{beta: on}",
        user_data_base64="AP8=",
        vendor_data="v",
    )
    vm = pod.load()
    assert len(vm.interfaces) == 1
    assert list(vm.dialects) == ["beta"]
    assert vm.user_data is not None
    assert vm.user_data.data == b"\x00\xff"
    pod.annotate(dialects="[beta]")
    assert list(pod.load().dialects) == ["beta"]


JSON_TEXTS = st.dictionaries(
    st.text(min_size=1, max_size=5).filter(str.isprintable), st.text(max_size=8), max_size=3
)


@given(tree=JSON_TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_is_read_as_any_tool_writes_it(tree: dict[str, str], pod: Pod) -> None:
    pod.annotate(vendor_data2=json.dumps(tree))
    assert pod.load().vendor_data2 == tree
    pod.annotate(vendor_data2='{"a": "\\\\ud83d\\ud83d\\ude00\\ud83d\\ude01"}')
    assert pod.load().vendor_data2 == {"a": "\\ud83d😀😁"}


def test_where_the_name_comes_from(pod: Pod) -> None:
    # KubeVirt gives a machine with a host name of its own that one in the last of its labels.
    pod.write("labels", {"vm.kubevirt.io/name": "host"})
    assert pod.load().name == "host"
    pod.write("labels", {"kubevirt.io/domain": "old", "vm.kubevirt.io/name": "host"})
    assert pod.load().name == "old"
    pod.write("labels", {"vmi.kubevirt.io/id": "id", "kubevirt.io/domain": "old"})
    assert pod.load().name == "id"
    pod.write("annotations", {"kubevirt.io/domain": "annotated"})
    assert pod.load().name == "annotated"
    assert pod.load(IMDS_VM_NAME="env").name == "env"
    (pod.folder / "labels").unlink()
    pod.write("annotations", {"kubevirt.io/domain": "annotated"})
    assert pod.load().name == "annotated"
    pod.annotate(name="own")
    assert pod.load(IMDS_VM_NAME="env").name == "own"


def test_the_pod_is_right_about_itself(pod: Pod) -> None:
    pod.annotate(namespace="claimed", service_account="claimed")
    vm = pod.load(IMDS_NAMESPACE="true-ns", IMDS_SA_NAME="true-sa", IMDS_TOKEN_PATH="/t/token")
    assert (vm.namespace, vm.service_account) == ("true-ns", "true-sa")
    assert vm.tokens == (Token(file="/t/token"),)
    assert pod.load(IMDS_NAMESPACE="").namespace == "claimed"
    assert pod.problems(IMDS_NAMESPACE="-") == [
        (
            'environment: IMDS_NAMESPACE: found "-"; allowed: 1 to 253 letters, digits, '
            "'.', '_' or '-', with a letter or digit at both ends"
        )
    ]


def test_tokens_are_files_named_for_their_audience(pod: Pod) -> None:
    tokens = pod.folder / "tokens"
    tokens.mkdir()
    for name in ("token", "vault", "spire", "..data"):
        (tokens / name).write_text("t")
    assert [(t.audience, Path(t.file).name) for t in pod.load().tokens] == [
        ("", "token"), ("spire", "spire"), ("vault", "vault"),
    ]  # fmt: skip
    pod.annotate(token_audiences="vault=https://vault.example/x=y, other,")
    assert [(t.audience, Path(t.file).name) for t in pod.load().tokens] == [
        ("", "token"), ("https://vault.example/x=y", "vault"), ("other", "other"),
    ]  # fmt: skip
    pod.annotate(token_audiences="https://sts.example/a;7200, token")
    assert [(t.audience, Path(t.file).name) for t in pod.load().tokens][1:] == [
        ("https://sts.example/a", "audience-43cec18c90748382"),
        ("token", "audience-3c469e9d6c5875d3"),
    ]
    pod.annotate(token_audiences="a=b,c=b")
    assert pod.problems() == [
        (
            'annotations:1: imds.kubevirt.io/token-audiences: found "b" again '
            "(as tokens[1].audience); allowed: each audience once"
        ),
    ]


@pytest.mark.parametrize(
    "text",
    ["../../etc/shadow=b", "token=b", "a=", "a;599", "a;4294967297", "a;x", "a;1e3", ";600", "=b"],
)
def test_audiences_that_cannot_be(text: str, pod: Pod) -> None:
    pod.annotate(token_audiences=text)
    assert pod.problems() == [
        (
            f'annotations:1: imds.kubevirt.io/token-audiences: found "{text}"; allowed: audiences '
            "separated by commas, each [FILE=]AUDIENCE[;SECONDS] with the name of a file and 600 "
            "to 4294967296 seconds"
        )
    ]


def test_two_audiences_in_one_file(pod: Pod) -> None:
    pod.annotate(token_audiences="a=b,a=c")
    assert pod.problems() == [
        (
            'annotations:1: imds.kubevirt.io/token-audiences: found the file "a" again; '
            "allowed: each file once"
        )
    ]


@pytest.mark.parametrize("names", [("user-data", "vendor-data"), ("userdata", "vendordata")])
def test_secrets_keep_their_bytes(names: tuple[str, str], pod: Pod) -> None:
    (pod.folder / "secrets").mkdir()
    for name, data in zip(names, (b"\x1f\x8b\xff\r\n", b"v\x00"), strict=True):
        (pod.folder / "secrets" / name).write_bytes(data)
    pod.annotate(template_user_data="true")
    vm = pod.load()
    assert vm.user_data is not None
    assert vm.vendor_data is not None
    assert (vm.user_data.data, vm.user_data.template) == (b"\x1f\x8b\xff\r\n", True)
    assert (vm.vendor_data.data, vm.vendor_data.template) == (b"v\x00", False)
    pod.annotate(user_data="other")
    assert pod.problems() == [
        (
            f"secrets/{names[0]}: found a mounted Secret beside imds.kubevirt.io/user-data; "
            "allowed: one of the two"
        )
    ]


def test_a_secret_that_is_too_large(pod: Pod) -> None:
    (pod.folder / "secrets").mkdir()
    (pod.folder / "secrets/user-data").write_bytes(bytes((16 << 20) + 1))
    assert pod.problems() == [
        (
            "secrets/user-data: found 16777217 bytes; "
            "allowed: a readable file of at most 16777216 bytes"
        )
    ]


MISTAKES = {
    "user-dat": ("x", "an unknown annotation", "imds.kubevirt.io/user-data (the nearest name)"),
    "uuid": ("x", '"x"', "a UUID such as 0d9f6b3e-5a3c-4f57-9d3b-6f1c2d7e8a90"),
    "launch-index": ("x", '"x"', "a whole number from 0 to 2147483647"),
    "enabled": ("yes", '"yes"', "true or false"),
    "meta": ("a=b,c", '"c"', "a JSON object, or key=value,... with each key once"),
    "tags": ("a=b,a=c", '"a" again', "a JSON object, or key=value,... with each key once"),
    "interfaces": ("[", "broken YAML (did not find expected node content)", "YAML"),
    "user-data-base64": ("a", "broken base64", "base64, line breaks allowed"),
    "template-user-data": (
        "true",
        "none of text, file, base64",
        "text, or a mapping with one of text, file, base64, and template",
    ),
    "dialects": ("alpa", 'the unknown dialect "alpa"', "alpha (the nearest name)"),
    "beta": ("{accont: a}", 'the unknown field "accont"', "account (the nearest name)"),
    "tags ": ('{"a": 1}', "the number 1", "at most 255 characters on one line (quote it)"),
}
INNER = {
    "interfaces": "[0]",
    "beta": ".accont",
    "tags ": ".a",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_name_the_annotation_and_its_line(name: str, pod: Pod) -> None:
    value, found, allowed = MISTAKES[name]
    pod.write("annotations", {"a.other/x": "ignored", PREFIX + name.strip(): value})
    field = PREFIX + name.strip() + INNER.get(name, "")
    assert pod.problems() == [f"annotations:2: {field}: found {found}; allowed: {allowed}"]


def test_a_mistake_inside_yaml_has_its_path(pod: Pod) -> None:
    pod.annotate(interfaces="- mac: 01:00:00:00:00:01\n  mtu: 9")
    assert [problem.split(": found")[0] for problem in pod.problems()] == [
        "annotations:1: imds.kubevirt.io/interfaces[0].mac",
        "annotations:1: imds.kubevirt.io/interfaces[0].mtu",
    ]


def test_annotations_cannot_name_the_sidecars_files(pod: Pod) -> None:
    pod.annotate(user_data='{"file": "/etc/shadow"}')
    vm = pod.load()
    assert vm.user_data is not None
    assert vm.user_data.data == b'{"file": "/etc/shadow"}'
    with pytest.raises(Unfit, match="/etc/shadow"):
        podinfo._Pod(str(pod.folder), Files(SYSTEM), {}, {}).read("/etc/shadow", 1 << 20)


def test_two_annotations_for_one_field(pod: Pod) -> None:
    pod.annotate(user_data="a", user_data_base64="YQ==")
    assert pod.problems() == [
        (
            "annotations:2: imds.kubevirt.io/user-data-base64: found "
            "imds.kubevirt.io/user-data-base64 beside imds.kubevirt.io/user-data; "
            "allowed: one of the two"
        )
    ]


def test_all_mistakes_come_at_once(pod: Pod) -> None:
    (pod.folder / "annotations").write_text(
        'imds.kubevirt.io/enabled="maybe"\nbroken\nimds.kubevirt.io/uuid="x"\n'
    )
    (pod.folder / "labels").unlink()
    assert [problem.split(": found")[0] for problem in pod.problems()] == [
        "annotations:2",
        "annotations:1: imds.kubevirt.io/enabled",
        "annotations: imds.kubevirt.io/name",
        "annotations:3: imds.kubevirt.io/uuid",
    ]


def test_not_more_mistakes_are_named_than_somebody_reads(pod: Pod) -> None:
    pod.write("annotations", {f"{PREFIX}x{n}": "" for n in range(5000)})
    found = pod.problems()
    assert len(found) == MAX_PROBLEMS, found[-1]
    (pod.folder / "annotations").write_text("x\n" * 5000)
    assert len(pod.problems()) == MAX_PROBLEMS


def test_without_annotations_there_is_no_pod(pod: Pod) -> None:
    (pod.folder / "annotations").unlink()
    assert pod.problems() == [
        (
            "annotations: found no such file or directory; "
            "allowed: a readable file of at most 4194304 bytes"
        )
    ]


# What GKE, Multus and Prometheus, and KubeVirt itself, write beside ours.
NOISE = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}\.example/[a-z]{1,8}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"])),
    max_size=3,
)
OURS = st.dictionaries(
    st.sampled_from([row.name for row in ANNOTATIONS]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from(["true", "3", "[]", "{}", "a,b", "a=b", "web"]),
    max_size=4,
)


@given(noise=NOISE, ours=OURS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_annotations_give_an_instance_or_problems(
    noise: dict[str, str], ours: dict[str, str], pod: Pod
) -> None:
    pod.write("annotations", noise | {PREFIX + name: value for name, value in ours.items()})
    try:
        pod.load()
    except ConfigError as error:
        assert all(PREFIX in p.field for p in error.problems)  # noqa: PT017 - either may be


def test_a_projected_volume_is_swapped(tmp_path: Path, vocabulary: Vocabulary) -> None:
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        pod = Pod(tmp_path / f"..{number}", vocabulary)
        pod.annotate(name=f"vm{number}")
        for name in ("annotations", "labels"):
            os.utime(pod.folder / name, (1, 1))
    (tmp_path / "..data").symlink_to("..1")
    for name in ("annotations", "labels"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    source = open_pod(str(tmp_path), vocabulary)
    before = source.fingerprint()
    assert [vm.name for vm in source.load()] == ["vm1"]
    assert source.fingerprint() == before
    (tmp_path / "..tmp").symlink_to("..2")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    assert source.fingerprint() != before
    assert [vm.name for vm in source.load()] == ["vm2"]


def test_secrets_are_watched_and_tokens_only_by_name(pod: Pod, vocabulary: Vocabulary) -> None:
    for name in ("tokens", "secrets"):
        (pod.folder / name).mkdir()
    (pod.folder / "tokens/token").write_text("one")
    (pod.folder / "secrets/user-data").write_text("one")
    source = open_pod(str(pod.folder), vocabulary)
    source.load()
    seen = [source.fingerprint()]
    (pod.folder / "tokens/token").write_text("rotated")
    assert source.fingerprint() == seen[0]
    for path in ("tokens/vault", "secrets/user-data", "secrets/vendor-data"):
        (pod.folder / path).write_text("changed")
        assert source.fingerprint() not in seen
        source.load()
        seen.append(source.fingerprint())


def test_the_page_documents_each_annotation(vocabulary: Vocabulary) -> None:
    page = reference(vocabulary)
    for row in ANNOTATIONS:
        assert f"| `{PREFIX}{row.name}` |" in page
        assert row.spelling in SPELLINGS
    assert f"| `{PREFIX}beta` | YAML or JSON |" in page
