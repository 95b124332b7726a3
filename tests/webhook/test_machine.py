"""What VirtualMachines and their instances get, are warned of, and are refused for."""

from __future__ import annotations

import argparse
import re
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest

from emulator.cli import keys
from emulator.model.derive import NAMESPACE, looks_like_ec2
from emulator.sources.annotations import PREFIX
from emulator.webhook.decide import mutate
from emulator.webhook.settings import Settings
from tests.webhook.support import (
    SETTINGS,
    causes,
    instance,
    machine,
    marked,
    mutated,
    request,
    updated,
    validated,
)

KUBEVIRTS = "5d307ca9-b3ef-428c-8861-06e72d69f223"
EC2S = "ec2d7ca9-b3ef-428c-8861-06e72d69f223"
SWAPPED = "a97c2dec-b3ef-428c-8861-06e72d69f223"
UNPRIVILEGED: dict[str, Any] = {
    "domain": {"devices": {"interfaces": [{"binding": {"name": "metadata"}}]}}
}


def firmware(whole: dict[str, Any]) -> dict[str, Any]:
    spec = whole["spec"].get("template", whole)["spec"]
    found = spec["domain"].get("firmware", {})
    assert isinstance(found, dict)
    return found


def domain(**fields: Any) -> dict[str, Any]:
    """Give a spec of which only that is known, and of which nothing is said."""
    return {"domain": {**UNPRIVILEGED["domain"], **fields}}


def annotation(whole: dict[str, Any], name: str) -> str | None:
    found = whole["metadata"]["annotations"].get(PREFIX + name)
    assert found is None or isinstance(found, str)
    return found


# ------------------------------------------------------------------------------------ identity


def test_the_uuid_that_guests_see_is_the_one_that_is_served() -> None:
    given = instance(**domain(firmware={"uuid": KUBEVIRTS.upper()}))
    changed = mutated(given).object
    assert firmware(changed) == {"uuid": KUBEVIRTS.upper()}
    assert annotation(changed, "uuid") == KUBEVIRTS


def test_a_vm_without_a_uuid_gets_the_derived_one_in_both_places() -> None:
    changed = mutated(instance()).object
    uuid = firmware(changed)["uuid"]
    assert annotation(changed, "uuid") == uuid == str(UUID(uuid))
    assert mutated(instance()).object == changed
    assert mutated(instance(), namespace="other").object != changed


def test_the_owner_s_annotation_decides_where_the_firmware_says_nothing() -> None:
    changed = mutated(instance(marked(uuid=KUBEVIRTS))).object
    assert firmware(changed)["uuid"] == KUBEVIRTS
    changed = mutated(machine(marked(uuid=KUBEVIRTS))).object
    assert firmware(changed) == {"uuid": KUBEVIRTS}
    changed = mutated(instance(marked(uuid=""))).object
    assert annotation(changed, "uuid") == firmware(changed)["uuid"]


def test_two_different_uuids_are_warned_of() -> None:
    annotations = marked(uuid="0b0f4a8e-8a5c-5a52-9d0b-5f6f3b3c2a11")
    verdict = mutated(instance(annotations, **domain(firmware={"uuid": KUBEVIRTS})))
    assert firmware(verdict.object)["uuid"] == KUBEVIRTS
    assert annotation(verdict.object, "uuid") == annotations[f"{PREFIX}uuid"]
    [warning] = verdict.warnings
    assert f"{PREFIX}uuid is not spec.domain.firmware.uuid" in warning
    same = marked(uuid=KUBEVIRTS.upper())
    assert mutated(instance(same, **domain(firmware={"uuid": KUBEVIRTS}))).warnings == ()


def test_a_vm_whose_name_is_yet_to_be_made_gets_a_uuid_of_its_own() -> None:
    """A replica set's instances differ in nothing but the request."""
    given = instance(**UNPRIVILEGED)
    given["metadata"] = {"generateName": "web-", "annotations": marked()}
    first = mutated(given).object
    assert firmware(first)["uuid"] == annotation(first, "uuid")
    asked = msgspec.structs.replace(request(given), uid="another request")
    second = mutate(asked, SETTINGS).object
    assert firmware(first)["uuid"] != firmware(second)["uuid"]
    derived = {uid: str(uuid5(NAMESPACE, f"admission/{uid}")) for uid in map(str, range(9999))}
    unlucky = next(uid for uid, uuid in derived.items() if looks_like_ec2(uuid))
    third = mutate(msgspec.structs.replace(asked, uid=unlucky), SETTINGS).object
    assert not looks_like_ec2(firmware(third)["uuid"])
    given["metadata"]["annotations"] = marked(persona="aws")
    assert firmware(mutated(given).object)["uuid"].startswith("ec2")


def test_what_is_no_uuid_is_refused() -> None:
    [(field, message)] = causes(mutated(instance(**domain(firmware={"uuid": "nope"})))).items()
    assert field == "spec.domain.firmware.uuid"
    assert message == 'found "nope"; allowed: a UUID'


@pytest.mark.parametrize("uuid", [EC2S, SWAPPED])
def test_a_uuid_that_looks_like_ec2_s_is_warned_of(uuid: str) -> None:
    [warning] = mutated(instance(**domain(firmware={"uuid": uuid}))).warnings
    assert f"spec.domain.firmware.uuid {uuid} looks like EC2's" in warning
    instead = re.search(r"such as (\S+)$", warning)
    assert instead is not None
    assert not looks_like_ec2(str(UUID(instead[1])))
    both = marked(dialects="openstack, ec2")
    assert mutated(instance(both, **domain(firmware={"uuid": uuid}))).warnings == ()


# ------------------------------------------------------------------------------------- SMBIOS


@pytest.mark.parametrize(
    ("annotations", "asset", "serial"),
    [
        (marked(), "OpenStack Nova", None),
        (marked(persona="default"), "OpenStack Nova", None),
        (marked(persona="azure"), "7783-7084-3265-9085-8269-3286-77", None),
        (marked(persona="gcp"), None, "GoogleCloud-KubeVirt"),
        (
            marked(persona="nocloud"),
            None,
            "ds=nocloud;dsmode=net;s=http://169.254.169.254/nocloud/",
        ),
        (marked(dialects="gce, openstack"), "OpenStack Nova", None),
        (marked(dialects="kubevirt, gce, azure"), None, "GoogleCloud-KubeVirt"),
        (marked(persona="aws", dialects="azure"), "7783-7084-3265-9085-8269-3286-77", None),
        (marked(dialects="kubevirt"), None, None),
    ],
)
def test_the_guest_is_told_where_to_ask(
    annotations: dict[str, str], asset: str | None, serial: str | None
) -> None:
    changed = mutated(instance(annotations)).object
    assert changed["spec"]["domain"].get("chassis", {}).get("asset") == asset
    assert firmware(changed).get("serial") == serial
    assert not looks_like_ec2(firmware(changed)["uuid"])


def test_what_the_owner_has_set_stays_and_is_warned_of() -> None:
    given = instance(**domain(chassis={"asset": "rack 12"}, firmware={"serial": "A1"}))
    verdict = mutated(given)
    assert verdict.object["spec"]["domain"]["chassis"] == {"asset": "rack 12"}
    assert firmware(verdict.object)["serial"] == "A1"
    [warning] = verdict.warnings
    assert warning == (
        'spec.domain.chassis.asset is "rack 12" and stays, but guests find openstack by '
        '"OpenStack Nova" there: set that'
    )
    same = instance(**domain(chassis={"asset": "OpenStack Nova"}))
    assert mutated(same).warnings == ()


@pytest.mark.parametrize(
    ("persona", "serial"),
    [
        ("gcp", "GoogleCloud-KubeVirt"),
        ("nocloud", "ds=nocloud;dsmode=net;s=http://169.254.169.254/nocloud/"),
    ],
)
def test_a_serial_is_set_before_kubevirt_chooses_one(persona: str, serial: str) -> None:
    """It gives a VirtualMachine without a serial a random one, which its instances then have."""
    whole = mutated(machine(marked(persona=persona))).object
    assert firmware(whole) == {"serial": serial}
    assert mutated(whole).object is whole
    [warning] = updated(
        machine(None, **domain(firmware={"serial": KUBEVIRTS})),
        machine(marked(persona=persona), **domain(firmware={"serial": KUBEVIRTS})),
    ).warnings[:1]
    assert warning.endswith(f'"{serial}" there: set that')
    own = machine(marked(persona=persona), **domain(firmware={"serial": "A1"}))
    assert mutated(own).object is own
    for other in ("default", "azure"):
        plain = machine(marked(persona=other))
        assert mutated(plain).object is plain


def test_null_and_empty_are_not_the_owner_s() -> None:
    changed = mutated(instance(**domain(chassis=None, firmware={"uuid": ""}))).object
    assert changed["spec"]["domain"]["chassis"] == {"asset": "OpenStack Nova"}
    assert str(UUID(firmware(changed)["uuid"])) == annotation(changed, "uuid")


# ---------------------------------------------------------------------------------------- EC2


def test_ec2_is_told_by_uuid_and_serial_from_the_virtual_machine_on() -> None:
    whole = mutated(machine(marked(persona="aws"))).object
    found = firmware(whole)
    assert found["uuid"].startswith("ec2")
    assert found == {"uuid": found["uuid"], "serial": found["uuid"]}
    assert whole["spec"]["template"]["metadata"] == {"annotations": marked(persona="aws")}
    assert mutated(whole).object is whole
    assert validated(whole).allowed
    made = mutated(
        instance(marked(persona="aws"), domain=whole["spec"]["template"]["spec"]["domain"])
    )
    assert firmware(made.object) == found
    assert annotation(made.object, "uuid") == found["uuid"]


@pytest.mark.parametrize("uuid", [EC2S, EC2S.upper(), SWAPPED])
def test_a_uuid_of_ec2_s_kind_is_kept_and_the_serial_follows(uuid: str) -> None:
    changed = mutated(instance(marked(persona="aws"), **domain(firmware={"uuid": uuid}))).object
    assert firmware(changed) == {"uuid": uuid, "serial": uuid.lower()}


def test_an_own_serial_hides_ec2_from_older_guests() -> None:
    given = instance(marked(persona="aws"), **domain(firmware={"uuid": EC2S, "serial": "A1"}))
    [warning] = mutated(given).warnings
    assert "spec.domain.firmware.serial" in warning
    assert EC2S in warning


def test_a_new_vm_with_another_uuid_is_refused_with_one_that_fits() -> None:
    given = machine(marked(persona="aws"), **domain(firmware={"uuid": KUBEVIRTS}))
    [(field, message)] = causes(mutated(given)).items()
    assert field == "spec.template.spec.domain.firmware.uuid"
    fit = re.search(r"such as (ec2\S+)$", message)
    assert fit is not None
    given["spec"]["template"]["spec"]["domain"]["firmware"]["uuid"] = fit[1]
    assert mutated(given).allowed


def test_an_old_vm_is_refused_with_the_command_that_changes_it() -> None:
    given = instance(marked(persona="aws"), **domain(firmware={"uuid": KUBEVIRTS}))
    given["metadata"]["ownerReferences"] = [{"kind": "VirtualMachine", "name": "web"}]
    [message] = causes(mutated(given)).values()
    assert re.search(
        r"""kubectl -n shop patch vm web --type merge -p '\{"spec":\{"template":\{"spec":"""
        r"""\{"domain":\{"firmware":\{"uuid":"(ec2[0-9a-f-]{33})","serial":"\1"\}""",
        message,
    )
    old = machine(None, **domain(firmware={"uuid": KUBEVIRTS}))
    new = machine(marked(persona="aws"), **domain(firmware={"uuid": KUBEVIRTS}))
    assert "kubectl -n shop patch vm vm1" in str(causes(updated(old, new)))


def test_a_vm_with_another_uuid_may_have_ec2_s_dialect_for_its_sdks() -> None:
    sdks = marked(dialects="kubevirt, ec2")
    for uuid, wished in ((KUBEVIRTS, sdks), ("", {**sdks, f"{PREFIX}uuid": KUBEVIRTS})):
        given = domain(firmware={"uuid": uuid}) if uuid else UNPRIVILEGED
        verdict = mutated(instance(wished, **given))
        assert verdict.allowed
        assert firmware(verdict.object) == {"uuid": KUBEVIRTS}
        assert any("SDKs find EC2 here, cloud-init does not" in said for said in verdict.warnings)
    fresh = mutated(instance(sdks)).object
    assert firmware(fresh)["uuid"].startswith("ec2")


def test_a_vm_that_becomes_ec2_s_later_needs_its_uuid_first() -> None:
    """Nothing can be set in an update, and KubeVirt would choose one by the VM's name."""
    [(field, message)] = causes(updated(machine(), machine(marked(persona="aws")))).items()
    assert field == "spec.template.spec.domain.firmware.uuid"
    assert message.startswith("found nothing; allowed: a UUID that begins with ec2")
    with_one = machine(marked(persona="aws"), **domain(firmware={"uuid": EC2S}))
    assert updated(machine(), with_one).allowed


def test_an_annotation_that_contradicts_ec2_is_refused() -> None:
    given = instance(marked(persona="aws", uuid=KUBEVIRTS))
    assert list(causes(mutated(given))) == [f"metadata.annotations[{PREFIX}uuid]"]
    assert firmware(mutated(instance(marked(persona="aws", uuid=EC2S))).object)["uuid"] == EC2S


def test_a_name_that_no_machine_can_have_is_refused() -> None:
    given = instance()
    given["metadata"]["name"] = "no name"
    [(field, message)] = causes(mutated(given)).items()
    assert field == "metadata.annotations"
    assert message.startswith('IMDS_VM_NAME: found "no name"; allowed: ')


# ----------------------------------------------------------------------------------- host name


@pytest.mark.parametrize(
    ("annotations", "hostname", "served"),
    [
        (marked(), "web", "web"),
        (marked(hostname="own.example"), "web", "own.example"),
        (marked(), "", None),
        (marked(), "Not A Label", None),
        (marked(), "-", None),
    ],
)
def test_the_host_name_is_the_vm_s(
    annotations: dict[str, str], hostname: str, served: str | None
) -> None:
    verdict = mutated(instance(annotations, hostname=hostname, subdomain="nodes"))
    assert verdict.allowed
    assert annotation(verdict.object, "hostname") == served


# ------------------------------------------------------------------------------------ networks


def interfaces(*found: dict[str, Any], **devices: Any) -> dict[str, Any]:
    return {"domain": {"devices": {"interfaces": list(found), **devices}}}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        interfaces({"name": "default", "masquerade": {}}),
        interfaces({"name": "default", "bridge": {}}),
        interfaces({"name": "default"}),
        interfaces({"sriov": {}}, {"bridge": {}}),
        interfaces({"passt": None, "masquerade": {}}),
        interfaces(autoattachPodInterface=True),
        interfaces({"bridge": {}}, autoattachPodInterface=False),
    ],
)
def test_a_guest_behind_a_bridge_is_reached(spec: dict[str, Any]) -> None:
    verdict = mutated(instance(**spec))
    assert verdict.causes == ()
    assert annotation(verdict.object, "plumbing") is None
    assert any("NET_ADMIN" in warning for warning in verdict.warnings)


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (interfaces({"sriov": {}}), "found sriov only"),
        (interfaces({"passtBinding": {}}), "found passtBinding only"),
        (interfaces({"macvtap": {}}, {"slirp": {}}), "found macvtap, slirp only"),
        (interfaces({"binding": {"name": "passt"}}), "found plugin passt only"),
        (interfaces({"sriov": {}}, {"bridge": {}, "state": "absent"}), "found sriov only"),
        (interfaces(autoattachPodInterface=False), "found false, and no interfaces"),
    ],
)
def test_a_guest_that_could_never_ask_is_refused(spec: dict[str, Any], found: str) -> None:
    for whole, place in ((instance(**spec), ""), (machine(**spec), "spec.template.")):
        [(field, message)] = causes(mutated(whole)).items()
        assert field.startswith(f"{place}spec.domain.devices.")
        assert message.startswith(found)
        assert "masquerade: {}" in message
    # Who says that something else leads the guest is believed, and told.
    verdict = mutated(instance(marked(plumbing="plugin"), **spec))
    assert verdict.causes == ()
    [warning] = verdict.warnings
    assert "no interface has a binding" in warning


def test_a_binding_plugin_that_plumbs_needs_no_privilege() -> None:
    spec = interfaces({"masquerade": {}}, {"binding": {"name": "metadata"}})
    verdict = mutated(instance(**spec))
    assert annotation(verdict.object, "plumbing") == "plugin"
    assert verdict.warnings == ()
    own = mutated(instance(marked(plumbing="sidecar"), **spec))
    assert annotation(own.object, "plumbing") == "sidecar"
    assert "NET_ADMIN" in own.warnings[0]
    # A core binding of the same name is none.
    settings = Settings(image=SETTINGS.image, binding_plugins=("passt",))
    assert not mutated(instance(**interfaces({"passt": {}})), settings).allowed


# ------------------------------------------------------------------------------------ warnings


@pytest.mark.parametrize(
    ("annotations", "spec", "words"),
    [
        (marked(), {"architecture": "arm64"}, ["arm64 VMs have no SMBIOS", "find openstack"]),
        (marked(persona="gcp"), {"architecture": "s390x"}, ["s390x VMs", "metadata.google"]),
        (marked(dialects="kubevirt"), {"architecture": "arm64"}, []),
        (marked(), {"architecture": "amd64"}, []),
        (marked(persona="azure"), {}, ["168.63.129.16"]),
        (
            marked(),
            {
                "volumes": [
                    {"name": "a", "cloudInitNoCloud": {"userData": "x"}},
                    {"name": "b", "cloudInitConfigDrive": {}},
                    {"name": "c", "configMap": {"volumeLabel": "cidata"}},
                    {"name": "d", "secret": {"volumeLabel": "CONFIG-2"}},
                    {"name": "e", "secret": {"volumeLabel": "data"}},
                    {"name": "f", "containerDisk": {}},
                ]
            },
            ["volume a is", "volume b is", "volume c is", "volume d is"],
        ),
    ],
)
def test_what_an_owner_should_know(
    annotations: dict[str, str], spec: dict[str, Any], words: list[str]
) -> None:
    for whole in (
        instance(annotations, **UNPRIVILEGED, **spec),
        machine(annotations, **UNPRIVILEGED, **spec),
    ):
        verdict = mutated(whole)
        assert verdict.causes == ()
        said = "\n".join(verdict.warnings)
        assert [word for word in words if word not in said] == []
        assert bool(said) == bool(words)
        if words:
            assert len(verdict.warnings) == len(words) - ("find openstack" in words)


def test_a_namespace_without_known_keys_is_told_how_to_get_them() -> None:
    [warning] = mutated(instance(**UNPRIVILEGED), namespace="new").warnings
    assert warning.endswith("| imds-emulator keys new | kubectl apply -f -")
    assert "imds-emulator-keys" in warning


def test_the_command_for_keys_makes_the_secret_that_is_mounted() -> None:
    settings = msgspec.structs.replace(
        SETTINGS, keys_namespaces=(), keys_secret="our-keys", authority_namespace="imds"
    )
    [warning] = mutated(instance(**UNPRIVILEGED), settings).warnings
    command = re.search(r"Secret our-keys may be missing: kubectl -n imds .* \| (.*) \| ", warning)
    assert command is not None
    program, verb, *arguments = command[1].split()
    assert (program, verb) == ("imds-emulator", "keys")
    parser = argparse.ArgumentParser()
    keys.configure(parser)
    options = parser.parse_args(arguments)
    assert (options.namespaces, options.secret) == (["shop"], "our-keys")
    long = msgspec.structs.replace(settings, keys_secret="k" * 253)
    [warning] = mutated(instance(**UNPRIVILEGED), long).warnings
    assert "docs/kubevirt.md" in warning


def test_warnings_are_short_enough_to_be_shown_whole() -> None:
    """The API server cuts what is longer than 256 characters, or 4096 in all."""
    long = "x" * 63
    volumes = [{"name": long, "cloudInitNoCloud": {}}, {"name": long, "cloudInitConfigDrive": {}}]
    spec = {
        "architecture": "ppc64le",
        "volumes": volumes,
        "domain": {
            "devices": {},
            "chassis": {"asset": "y" * 200},
            "firmware": {"serial": "z" * 200, "uuid": SWAPPED},
        },
    }
    seen: set[str] = set()
    for persona in ("default", "nocloud", "gcp", "azure", "aws"):
        annotations = marked(persona=persona, uuid="0b0f4a8e-8a5c-5a52-9d0b-5f6f3b3c2a11")
        settings = Settings(image=SETTINGS.image, keys_secret="k" * 253)
        verdict = mutated(machine(annotations, **spec), settings, namespace=long)
        assert verdict.causes == ()
        assert sum(map(len, verdict.warnings)) <= 4096
        seen.update(verdict.warnings)
    assert len(seen) >= 12
    assert [warning for warning in seen if len(warning) > 256 or "\n" in warning] == []


# ---------------------------------------------------------------------------------- annotations


def test_every_mistake_is_named_with_its_place_and_the_fix() -> None:
    annotations = marked(
        tags="a", interfaces='[{"mac": "zz"}]', enabeld="true", user_data="x", user_data_secret="s"
    )
    place = "spec.template.metadata.annotations"
    assert causes(mutated(machine(annotations))) == {
        f"{place}[{PREFIX}tags]": (
            'found "a"; allowed: a JSON object, or key=value,... with each key once'
        ),
        f"{place}[{PREFIX}enabeld]": (
            f"found an unknown annotation; allowed: {PREFIX}enabled (the nearest name)"
        ),
        f"{place}[{PREFIX}interfaces][0].mac": (
            'found "zz"; allowed: a MAC address such as 52:54:00:12:34:56'
        ),
        f"{place}[{PREFIX}user-data-secret]": (
            f"found a mounted Secret beside {PREFIX}user-data; allowed: one of the two"
        ),
    }


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("value", ["x", 1])
def test_of_very_many_mistakes_a_hundred_are_named(value: object, *, asked: bool) -> None:
    """Nobody limits the annotations of a VirtualMachine's template but the size of a request."""
    many = {f"{PREFIX}enabeld{number}": value for number in range(1000)}
    whole = machine()
    whole["spec"]["template"]["metadata"]["annotations"] = (marked() if asked else {}) | many
    assert len(causes(mutated(whole))) == 100


def test_annotations_that_no_pod_can_have_are_refused() -> None:
    """Kubernetes allows 256 KiB, and does not look into a VirtualMachine's template."""
    for make, place in ((machine, "spec.template."), (instance, "")):
        for large in (
            marked(user_data="x" * (252 << 10)),
            marked(user_data="\u00e4" * (126 << 10)),
            marked() | {"other/one": "x" * (252 << 10)},
        ):
            [(field, message)] = causes(mutated(make(large))).items()
            assert field == f"{place}metadata.annotations"
            assert "bytes; allowed: 258048 bytes of names and values together" in message
            assert f"{PREFIX}user-data-secret" in message
        assert mutated(make(marked(user_data="x" * (251 << 10)))).allowed
    off = {f"{PREFIX}enabled": "false", f"{PREFIX}user-data": "x" * (252 << 10)}
    assert mutated(machine(off)).allowed


def test_a_name_that_begins_like_another_is_told_apart() -> None:
    found = causes(mutated(instance(marked(meta="a=b") | {f"{PREFIX}meta.x": "y"})))
    assert list(found) == [f"metadata.annotations[{PREFIX}meta.x]"]


@pytest.mark.parametrize(
    ("value", "words"),
    [(True, "found true or false without quotes"), (5, "found a number"), ({}, "found a mapping")],
)
def test_annotations_must_be_quoted(value: object, words: str) -> None:
    whole = machine()
    whole["spec"]["template"]["metadata"]["annotations"][f"{PREFIX}enabled"] = value
    [(field, message)] = causes(mutated(whole)).items()
    assert field == f"spec.template.metadata.annotations[{PREFIX}enabled]"
    assert message == f"{words}; allowed: text (quote it)"


@pytest.mark.parametrize(
    ("annotations", "fields", "warned"),
    [
        ({f"{PREFIX}persona": "aws"}, [], True),
        ({f"{PREFIX}persona": "nonsense"}, [], True),
        ({f"{PREFIX}enabled": "false", f"{PREFIX}tags": "broken"}, [], False),
        ({f"{PREFIX}enabled": "True"}, ["enabled"], False),
        ({f"{PREFIX}enable": "true"}, ["enable"], True),
        ({f"{PREFIX}enabled": "false", f"{PREFIX}colour": "red"}, ["colour"], False),
    ],
)
def test_without_a_service_only_names_must_be_right(
    annotations: dict[str, str], fields: list[str], *, warned: bool
) -> None:
    whole = instance(annotations)
    verdict = mutated(whole)
    assert list(causes(verdict)) == [f"metadata.annotations[{PREFIX}{name}]" for name in fields]
    assert verdict.object is whole
    assert any("does nothing without" in warning for warning in verdict.warnings) == warned


def test_a_vm_without_annotations_of_ours_is_nobody_s_business() -> None:
    for whole in (instance({}), machine({"kubevirt.io/other": "x"}), {**machine(), "spec": {}}):
        verdict = mutated(whole)
        assert verdict.object is whole
        assert (verdict.causes, verdict.warnings) == ((), ())


def test_annotations_in_the_wrong_place_are_noticed() -> None:
    whole = machine(**UNPRIVILEGED)
    whole["metadata"]["annotations"] = marked()
    [warning] = mutated(whole).warnings
    assert "spec.template.metadata.annotations" in warning


def test_a_volume_must_not_have_a_name_of_the_sidecar_s() -> None:
    volumes = [{"name": "root"}, {"name": "imds", "containerDisk": {}}]
    [(field, message)] = causes(mutated(machine(volumes=volumes))).items()
    assert field == "spec.template.spec.volumes[1].name"
    assert message.startswith("found imds, which")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"domain": "x"}, "spec.domain"),
        ({"domain": {"firmware": []}}, "spec.domain.firmware"),
        ({"domain": {"firmware": {"uuid": 5}}}, "spec.domain.firmware.uuid"),
        ({"domain": {"devices": {"interfaces": ["x"]}}}, "spec.domain.devices.interfaces"),
        ({"domain": {}, "volumes": {}}, "spec.volumes"),
        ({"domain": {}, "hostname": True}, "spec.hostname"),
    ],
)
def test_a_vm_of_no_vm_s_shape_is_refused(spec: dict[str, Any], field: str) -> None:
    whole = instance()
    whole["spec"] = spec
    assert list(causes(mutated(whole))) == [field]
