"""Changes: what they bring is looked at, what was there before never stands in anybody's way."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from emulator.sources.annotations import PREFIX
from tests.webhook.support import causes, instance, machine, marked, updated

BROKEN = marked(tags="broken", colour="red")
SRIOV: dict[str, Any] = {"domain": {"devices": {"interfaces": [{"sriov": {}}]}}}


def template(whole: dict[str, Any]) -> dict[str, Any]:
    found = whole["spec"]["template"] if whole["kind"] == "VirtualMachine" else whole
    assert isinstance(found, dict)
    return found


@pytest.fixture(params=[instance, machine])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_mistake_that_an_update_brings_is_refused(make: Any) -> None:
    assert len(causes(updated(make(), make(BROKEN)))) == 2
    assert len(causes(updated(make({}), make(BROKEN)))) == 2
    [field] = causes(updated(make(), make(**SRIOV)))
    assert field.endswith("spec.domain.devices.interfaces")


@pytest.mark.parametrize("annotations", [BROKEN, {f"{PREFIX}enabeld": "x"}])
def test_what_was_broken_before_keeps_nobody_from_working_on_it(
    make: Any, annotations: dict[str, str]
) -> None:
    old = make(annotations)
    new = copy.deepcopy(old)
    new["status"] = {"phase": "Running"}
    new["metadata"]["finalizers"] = []
    template(new)["metadata"]["annotations"]["other"] = "x"
    assert updated(old, new).allowed
    template(new)["spec"]["nodeSelector"] = {"a": "b"}
    assert updated(old, new).allowed


def test_kubevirt_may_choose_the_uuid_of_a_vm_that_needed_another(make: Any) -> None:
    """It would try for ever, and the VM's own end would wait."""
    old = make(marked(persona="aws"))
    new = copy.deepcopy(old)
    template(new)["spec"]["domain"]["firmware"] = {"uuid": "5d307ca9-b3ef-428c-8861-06e72d69f223"}
    assert updated(old, new).allowed
    template(new)["metadata"]["annotations"][f"{PREFIX}tags"] = "a=b"
    assert not updated(old, new).allowed


def test_a_change_of_something_else_that_breaks_it_is_refused(make: Any) -> None:
    old = make(BROKEN)
    new = make(BROKEN, **SRIOV)
    assert updated(old, new).allowed  # its annotations were too broken to look further
    fine = make(marked(), volumes=[{"name": "a"}])
    taken = make(marked(), volumes=[{"name": "imds"}])
    assert not updated(fine, taken).allowed
    assert updated(taken, make(marked(), volumes=[{"name": "imds"}], hostname="x")).allowed


def test_a_broken_annotation_must_be_set_right_when_annotations_are_changed(make: Any) -> None:
    new = make({**BROKEN, f"{PREFIX}tags": "a=b"})
    assert len(causes(updated(make(BROKEN), new))) == 1
    assert updated(make(BROKEN), make()).allowed
    assert updated(make(BROKEN), make({})).allowed
    assert updated(make(BROKEN), make({**marked(tags="x"), f"{PREFIX}enabled": "false"})).allowed


def test_an_end_is_never_refused(make: Any) -> None:
    new = make(BROKEN)
    new["metadata"]["deletionTimestamp"] = "2026-11-26T03:00:00Z"
    assert updated(make(), new).allowed


def test_only_new_warnings_are_given(make: Any) -> None:
    old = make(marked())
    new = make(marked(tags="a=b"), architecture="arm64")
    [warning] = updated(old, new).warnings
    assert "arm64" in warning
    verdict = updated(old, copy.deepcopy(old))
    assert (verdict.warnings, verdict.why) == ((), "nothing of ours changed")


def test_annotations_that_come_to_the_wrong_place_are_warned_of_once() -> None:
    """What ``kubectl annotate vm`` does."""
    old, new = machine({}), machine({})
    new["metadata"]["annotations"] = marked()
    [warning] = updated(old, new).warnings
    assert "spec.template.metadata.annotations" in warning
    later = copy.deepcopy(new)
    later["spec"]["template"]["metadata"]["annotations"] = marked()
    assert warning not in updated(new, later).warnings


def test_what_is_left_must_be_right_when_an_annotation_goes(make: Any) -> None:
    old = make(marked(persona="aws", imdsv2="required"))
    [field] = causes(updated(old, make(marked(imdsv2="required"))))
    assert field.endswith(f"[{PREFIX}imdsv2]")


def test_an_update_changes_nothing_itself(make: Any) -> None:
    new = make(marked(persona="gcp"))
    assert updated(make(), new).object is new


def test_an_old_object_that_is_missing_is_an_empty_one(make: Any) -> None:
    verdict = updated(None, make(BROKEN))  # type: ignore[arg-type]
    assert len(verdict.causes) == 2
