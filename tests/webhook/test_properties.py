"""What holds for every object that the API server could send, and for those that it could not."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.dialects import VOCABULARY
from emulator.sources.annotations import PREFIX, table
from emulator.webhook import review
from emulator.webhook.decide import mutate, validate
from emulator.webhook.journal import decision
from emulator.webhook.verdict import Kind, Request
from tests.webhook.support import KINDS, SETTINGS, fixture, instance, machine, patched, request

NAMES = sorted(table(VOCABULARY))
EC2S = "ec2d7ca9-b3ef-428c-8861-06e72d69f223"

# ------------------------------------------------------------------------------ any JSON at all

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 1) | st.text(max_size=5)
# The words of our objects, so that what is looked at is often there, and seldom what it should be.
words = st.sampled_from(
    [
        *("metadata", "annotations", "labels", "name", "generateName", "ownerReferences", "kind"),
        *("spec", "template", "domain", "firmware", "uuid", "serial", "chassis", "asset"),
        *("devices", "interfaces", "binding", "sriov", "state", "volumes", "secret", "configMap"),
        *("volumeLabel", "containers", "initContainers", "args", "env", "volumeMounts"),
        *("kubevirt.io", f"{PREFIX}enabled", f"{PREFIX}persona", f"{PREFIX}uuid", "hostname"),
    ]
)
values = scalars | st.sampled_from(["true", "aws", "imds", "virt-launcher", "VirtualMachine"])
anything = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=30,
)


def grafted(whole: Any, path: list[str], graft: Any) -> Any:
    """Put ``graft`` somewhere into a real object."""
    whole = copy.deepcopy(whole)
    at = whole
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = graft
    return whole


def paths(whole: Any) -> list[list[str]]:
    if not isinstance(whole, dict):
        return []
    return [p for k, v in whole.items() for p in ([k], *([k, *below] for below in paths(v)))]


REAL = [fixture("pod/launcher"), instance(), machine(), fixture("instance/plugin")]
misgrown = st.sampled_from(REAL).flatmap(
    lambda whole: st.builds(grafted, st.just(whole), st.sampled_from(paths(whole)), anything)
)


@settings(max_examples=300)
@given(
    whole=anything | misgrown,
    old=anything | misgrown,
    kind=st.sampled_from([*KINDS.values(), Kind("Pod", "other"), Kind("")]),
    operation=st.sampled_from(["CREATE", "UPDATE", "DELETE", ""]),
)
def test_any_object_gets_an_answer(whole: Any, old: Any, kind: Kind, operation: str) -> None:
    asked = Request(uid="u", kind=kind, operation=operation, object=whole, old_object=old)
    for decide in (mutate, validate):
        verdict = decide(asked, SETTINGS)
        answer = json.loads(review.write(asked, verdict))["response"]
        assert answer["allowed"] == (not verdict.causes)
        assert ("status" in answer) == bool(verdict.causes)
        assert decision(asked, verdict, "/mutate", 0, 0).allowed == verdict.allowed
        if verdict.allowed:
            assert patched(whole, asked, verdict) == verdict.object


# ---------------------------------------------------------------------------- any annotations

plausible = st.sampled_from(
    [
        *("true", "false", "", "aws", "azure", "gcp", "nocloud", "default", "plugin", "sidecar"),
        *("openstack", "ec2, kubevirt", "required", "a=b,c=d", '{"a": "b"}', "[1, 2]", "debug"),
        *("web", "web.example", EC2S, "5d307ca9-b3ef-428c-8861-06e72d69f223", "vault;600"),
        *("boot/key", "600", "k6t-eth0", "aGVsbG8=", "ssh-ed25519 AAAA", "- {mac: 1}"),
    ]
)
names = st.sampled_from(NAMES) | st.text("abc-.", min_size=1, max_size=6)
marks = st.dictionaries(names, plausible | st.text(max_size=20), max_size=6).map(
    lambda found: {f"{PREFIX}enabled": "true", **{PREFIX + k: v for k, v in found.items()}}
)
others = st.dictionaries(st.sampled_from(["a", "b/c"]), st.text(max_size=5), max_size=2)


def kept(before: Any, after: Any) -> bool:
    """Say whether all of ``before`` is in ``after``: more keys, and more items at a list's end.

    Empty text is no value of anybody's.
    """
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            k in after and kept(before[k], after[k]) for k in before
        )
    if isinstance(before, list):
        return isinstance(after, list) and all(map(kept, before, after[: len(before)]))
    return type(before) is type(after) and before in ("", after)


def additions(*more: dict[str, Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Give what KubeVirt, or another webhook, has in a pod's list."""
    return st.lists(
        st.sampled_from([{"name": "a"}, {"name": "b", "x": {"y": []}}, *more]), max_size=3
    )


@given(
    annotations=marks,
    other=others,
    before=additions({"name": "c", "restartPolicy": "Always"}),
    after=additions({"name": "d", "args": ["sidecar"]}),
    volumes=additions({"name": "e", "emptyDir": {}}),
)
def test_a_pod_keeps_all_it_had_and_is_done_with_at_once(
    annotations: dict[str, str],
    other: dict[str, str],
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    volumes: list[dict[str, Any]],
) -> None:
    pod = fixture("pod/launcher")
    pod["metadata"]["annotations"] = {"kubevirt.io/domain": "vm1", **other, **annotations}
    pod["spec"]["initContainers"][:0] = before
    pod["spec"]["volumes"][1:1] = volumes
    given_ = copy.deepcopy(pod)
    asked = request(pod)
    verdict = mutate(asked, SETTINGS)
    assert pod == given_
    if not verdict.allowed:
        assert verdict.object is pod
        return
    changed = patched(pod, asked, verdict)
    assert changed == verdict.object
    expected = annotations.get(f"{PREFIX}enabled") == "true"
    assert (len(changed["spec"]["initContainers"]) - len(before) == 3) == expected
    if f"{PREFIX}injected" in annotations and expected:  # set to true, whatever it was
        given_["metadata"]["annotations"][f"{PREFIX}injected"] = "true"
    assert kept(given_, changed)
    # The API server asks again after what others have done in between.
    changed["spec"]["initContainers"] += after
    changed["spec"]["volumes"] += volumes
    again = mutate(request(changed), SETTINGS)
    assert again.object is changed


firmwares = st.fixed_dictionaries(
    {},
    optional={
        "uuid": st.sampled_from([EC2S, "5d307ca9-b3ef-428c-8861-06e72d69f223"]),
        "serial": st.text("ab ", min_size=1, max_size=4),
    },
)
interfaces = st.lists(
    st.sampled_from(
        [{"bridge": {}}, {"sriov": {}}, {"binding": {"name": "metadata"}}, {"name": "x"}]
    ),
    max_size=3,
)


@given(
    annotations=marks,
    firmware=firmwares,
    asset=st.none() | st.text("ab", min_size=1, max_size=4),
    found=interfaces,
    make=st.sampled_from([instance, machine]),
)
def test_an_owner_s_values_are_never_changed(
    annotations: dict[str, str],
    firmware: dict[str, str],
    asset: str | None,
    found: list[dict[str, Any]],
    make: Any,
) -> None:
    domain: dict[str, Any] = {"firmware": firmware, "devices": {"interfaces": found}}
    if asset is not None:
        domain["chassis"] = {"asset": asset}
    whole = make(annotations, domain=domain, hostname="web")
    asked = request(whole)
    verdict = mutate(asked, SETTINGS)
    if not verdict.allowed:
        return
    changed = patched(whole, asked, verdict)
    assert changed == verdict.object
    assert kept(whole, changed)
    assert mutate(request(changed), SETTINGS).object is changed
    # What the instance is told, its pod is let in with.
    if make is instance:
        pod = fixture("pod/launcher")
        pod["metadata"]["annotations"] = changed["metadata"]["annotations"]
        assert mutate(request(pod), SETTINGS).causes == ()


# ------------------------------------------------------------------------------------- secrets

CONTENTS = [
    *("user-data", "user-data-base64", "user-data-gzip"),
    *("vendor-data", "vendor-data-base64", "vendor-data-gzip"),
]
SECRET = "hunter2hunter2"


@given(
    content=st.dictionaries(
        st.sampled_from(CONTENTS),
        st.tuples(st.text("%{ \n", max_size=9), st.text("=}\x00\\", max_size=9)).map(SECRET.join),
        min_size=1,
        max_size=3,
    ),
    template=st.sampled_from(["true", "false", "maybe"]),
)
def test_contents_are_never_repeated(content: dict[str, str], template: str) -> None:
    annotations = {f"{PREFIX}enabled": "true", f"{PREFIX}template-user-data": template}
    annotations |= {PREFIX + name: value for name, value in content.items()}
    for whole in (instance(annotations), machine(annotations)):
        asked = request(whole)
        verdict = mutate(asked, SETTINGS)
        said = str((verdict.causes, verdict.warnings, decision(asked, verdict, "", 0, 0)))
        assert SECRET not in said
        if not verdict.allowed:
            assert SECRET not in review.write(asked, verdict).decode()
