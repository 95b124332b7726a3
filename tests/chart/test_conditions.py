"""Which objects the API server sends: the ``matchConditions``, by Google's own CEL in C++."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cel_expr_python import cel

from tests.chart.helm import MINIMAL, Helm, Object, only

if TYPE_CHECKING:
    from collections.abc import Mapping

# Only an update has an object of before; on creation it is null.
VARIABLES = {"object": cel.Type.DYN, "oldObject": cel.Type.DYN}

ON = {"imds.kubevirt.io/enabled": "true"}
MISSPELT = {"imds.kubevirt.io/enable": "true"}
OTHERS = {"kubevirt.io/domain": "vm1", "imds.kubevirt.io": "", "x.imds.kubevirt.io/enabled": "t"}
MANY = {f"example.com/{number}": "x" for number in range(200)}
SENT = (ON, MISSPELT, ON | OTHERS, {"imds.kubevirt.io/": ""}, MANY | ON)
UNSENT: tuple[Mapping[str, str] | None, ...] = ({}, None, OTHERS, MANY)


class Asked:
    """The conditions of every webhook, by configuration and resource."""

    def __init__(self, found: list[Object]) -> None:
        environment = cel.NewEnv(variables=VARIABLES)
        self._compiled = {
            (kind, webhook["rules"][0]["resources"][0]): [
                environment.compile(condition["expression"])
                for condition in webhook["matchConditions"]
            ]
            for kind in ("Mutating", "Validating")
            for webhook in only(found, f"{kind}WebhookConfiguration")["webhooks"]
        }

    def __call__(self, kind: str, resource: str, new: Any, old: Any = None) -> bool:
        """Say whether the webhook is asked; an error would refuse the object."""
        results = [
            condition.eval(data={"object": new, "oldObject": old})
            for condition in self._compiled[kind, resource]
        ]
        assert [result.type() for result in results] == [cel.Type.BOOL] * len(results), [
            result.value() for result in results
        ]
        return all(result.value() for result in results)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return Asked(Helm("4", tmp_path_factory.mktemp("helm")).template(MINIMAL))


EVERY = pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("Mutating", "virtualmachines"),
        ("Mutating", "virtualmachineinstances"),
        ("Mutating", "pods"),
        ("Validating", "virtualmachines"),
        ("Validating", "virtualmachineinstances"),
    ],
)
VALIDATING = pytest.mark.parametrize("resource", ["virtualmachines", "virtualmachineinstances"])


def made(resource: str, annotations: Mapping[str, str] | None) -> dict[str, Any]:
    """Make an object with annotations where they count, and with ours where nobody looks."""
    metadata = {"name": "vm1", "annotations": annotations}
    if resource != "virtualmachines":
        return {"metadata": metadata, "spec": {"template": {"metadata": {"annotations": ON}}}}
    return {
        "metadata": {"name": "vm1", "annotations": OTHERS},
        "spec": {"runStrategy": "Always", "template": {"metadata": metadata, "spec": {}}},
    }


def misplaced(annotations: Mapping[str, str] | None) -> dict[str, Any]:
    """Make a VirtualMachine that has the annotations itself, where its pod never gets them."""
    return {**made("virtualmachines", OTHERS), "metadata": {"annotations": annotations}}


@EVERY
def test_an_annotation_of_ours_is_enough_even_misspelt(
    asked: Asked, kind: str, resource: str
) -> None:
    assert all(asked(kind, resource, made(resource, annotations)) for annotations in SENT)


@EVERY
def test_other_objects_never_wait(asked: Asked, kind: str, resource: str) -> None:
    assert not any(asked(kind, resource, made(resource, annotations)) for annotations in UNSENT)


@EVERY
@pytest.mark.parametrize(
    "part",
    [
        {},
        {"metadata": {}},
        {"metadata": None},
        {"metadata": {"annotations": None}},
        {"metadata": {}, "spec": {}},
        {"metadata": {}, "spec": None},
        {"metadata": {}, "spec": {"template": None}},
        {"metadata": {}, "spec": {"template": {}}},
        {"metadata": {}, "spec": {"template": {"spec": {}}}},
        {"metadata": {}, "spec": {"template": {"metadata": None}}},
        {"metadata": {}, "spec": {"template": {"metadata": {}}}},
        {"metadata": {}, "spec": {"template": {"metadata": {"annotations": None}}}},
    ],
    ids=str,
)
def test_nothing_that_is_missing_or_null_is_an_error(
    asked: Asked, kind: str, resource: str, part: dict[str, Any]
) -> None:
    assert not asked(kind, resource, part)
    # nor in what was there before
    if kind == "Validating":
        assert asked(kind, resource, made(resource, ON), part)


@VALIDATING
def test_an_update_is_sent_if_it_changes_one_of_ours(asked: Asked, resource: str) -> None:
    def update(old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> bool:
        return asked("Validating", resource, made(resource, new), made(resource, old))

    assert update({}, ON)
    assert update(None, ON)
    assert update(OTHERS, OTHERS | ON)
    assert update(ON, MISSPELT)
    assert update(ON, ON | MISSPELT)
    assert update(ON, dict.fromkeys(ON, "false"))
    # What is left may be wrong without the one that is gone.
    assert update(ON | MISSPELT, ON)


def test_annotations_in_the_wrong_place_are_sent_so_that_their_owner_is_told(
    asked: Asked,
) -> None:
    resource = "virtualmachines"
    for kind in ("Mutating", "Validating"):
        assert asked(kind, resource, misplaced(ON))
        assert not asked(kind, resource, misplaced(OTHERS))
        assert not asked(kind, resource, misplaced(None))
    assert asked("Validating", resource, misplaced(ON), misplaced(OTHERS))
    assert asked("Validating", resource, misplaced(ON), misplaced(None))
    assert not asked("Validating", resource, misplaced(ON | MANY), misplaced(ON))
    assert not asked("Validating", resource, misplaced({}), misplaced(ON))


@VALIDATING
def test_controllers_updates_never_wait(asked: Asked, resource: str) -> None:
    """A finalizer that is taken away, an annotation of KubeVirt's, a VM that is deleted."""
    for old, new in ((ON, ON), (ON, ON | OTHERS), (ON | OTHERS, ON), (ON, {}), (ON, None)):
        deleted = made(resource, new)
        deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        assert not asked("Validating", resource, deleted, made(resource, old))
