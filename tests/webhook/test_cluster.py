"""What a cluster makes of a pod with a sidecar: schemas, policies, tokens, classes."""

from __future__ import annotations

import argparse
import copy
from typing import Any

import kubernetes_validate
import pytest

from emulator.cli import COMMANDS
from emulator.cli import sidecar as cli
from tests.webhook import policy
from tests.webhook.support import fixture, mutated

PODS = ("pod/launcher", "pod/dedicated", "pod/plugin")
NEWEST = [f"1.{int(kubernetes_validate.latest_version().split('.')[1]) - age}" for age in range(3)]


def injected(name: str) -> dict[str, Any]:
    found = mutated(policy.defaulted(fixture(name))).object
    assert isinstance(found, dict)
    return found


def sidecar(pod: dict[str, Any]) -> dict[str, Any]:
    [found] = [one for one in policy.containers(pod) if one["name"] == "imds"]
    return found


@pytest.mark.parametrize("version", NEWEST)
@pytest.mark.parametrize("name", PODS)
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    pod = injected(name)
    assert kubernetes_validate.validate(pod, version, strict=True) == version
    sidecar(pod)["restartpolicy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_the_api_server_s_defaults_in_between_change_nothing(name: str) -> None:
    pod = policy.with_api_tokens(policy.defaulted(injected(name)))
    assert mutated(pod).object is pod


def test_with_a_plugin_the_sidecar_is_admitted_where_pods_are_restricted() -> None:
    pod = injected("pod/plugin")
    assert policy.violations(pod, sidecar(pod), "restricted") == []
    assert policy.volume_violations(pod["spec"]["volumes"]) == []
    # Whatever the pod says for its containers: its own says all.
    del pod["spec"]["securityContext"]
    assert policy.violations(pod, sidecar(pod), "restricted") == []


@pytest.mark.parametrize("name", ["pod/launcher", "pod/dedicated"])
def test_to_plumb_it_needs_no_more_than_is_said(name: str) -> None:
    pod = injected(name)
    assert policy.violations(pod, sidecar(pod), "baseline") == ["capabilities.add: NET_ADMIN"]
    assert policy.violations(pod, sidecar(pod), "restricted") == [
        "capabilities.add: NET_ADMIN",
        "runAsNonRoot",
        "runAsUser: 0",
        "capabilities.add beyond NET_BIND_SERVICE: NET_ADMIN",
        "capabilities.add beyond NET_BIND_SERVICE: SETGID",
        "capabilities.add beyond NET_BIND_SERVICE: SETUID",
    ]
    assert sidecar(pod)["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("name", PODS)
def test_it_gets_no_token_of_the_api(name: str) -> None:
    """The API server mounts one wherever nothing is mounted at that path."""
    pod = policy.with_api_tokens(injected(name))
    at = [m for m in sidecar(pod)["volumeMounts"] if m["mountPath"] == policy.API_TOKEN]
    assert [mount["name"] for mount in at] == ["imds-no-api-token"]
    [volume] = [v for v in pod["spec"]["volumes"] if v["name"] == "imds-no-api-token"]
    assert volume == {"name": "imds-no-api-token", "emptyDir": {"sizeLimit": "1Mi"}}
    compute = next(one for one in policy.containers(pod) if one["name"] == "compute")
    named = {mount["name"] for mount in compute["volumeMounts"]}
    automount = pod["spec"].get("automountServiceAccountToken", True)
    assert ("kube-api-access" in named) == automount


def test_a_vm_with_processors_of_its_own_keeps_them() -> None:
    """The CPU manager gives them to Guaranteed pods only."""
    given = fixture("pod/dedicated")
    assert policy.quality(given) == "Guaranteed"
    assert policy.quality(injected("pod/dedicated")) == "Guaranteed"
    lesser = copy.deepcopy(injected("pod/dedicated"))
    sidecar(lesser)["resources"]["requests"]["cpu"] = "50m"
    assert policy.quality(lesser) == "Burstable"
    assert policy.quality(fixture("pod/launcher")) == "Burstable"
    assert policy.quality(fixture("pod/plugin")) == "BestEffort"


@pytest.mark.parametrize("grouped", ["with fsGroup", "without"])
@pytest.mark.parametrize("name", PODS)
def test_every_file_can_be_read_by_the_user_that_the_sidecar_becomes(
    name: str, grouped: str
) -> None:
    """It stays in the pod's fsGroup; without one the files are everybody's in its volume."""
    pod = injected(name)
    if grouped == "without":
        del pod["spec"]["securityContext"]["fsGroup"]
    for volume in pod["spec"]["volumes"]:
        for kind in ("projected", "configMap"):
            if volume["name"].startswith("imds") and kind in volume:
                assert volume[kind]["defaultMode"] == 0o444
        if "projected" in volume:
            readable = 0o040 if grouped == "with fsGroup" else 0o004
            assert policy.token_mode(pod, volume) & readable


@pytest.mark.parametrize("name", PODS)
def test_the_sidecar_understands_its_arguments(name: str) -> None:
    parser = argparse.ArgumentParser()
    cli.configure(parser)
    command, *arguments = sidecar(injected(name))["args"]
    assert command in COMMANDS
    mounts = {
        mount["name"]: mount["mountPath"] for mount in sidecar(injected(name))["volumeMounts"]
    }
    options = parser.parse_args(arguments)
    assert (options.podinfo, options.state) == (mounts["imds"], mounts["imds-state"])
    assert options.templates == mounts.get("imds-templates", "")


@pytest.mark.parametrize("name", PODS)
def test_all_that_is_mounted_is_there_once(name: str) -> None:
    pod = injected(name)
    names = [volume["name"] for volume in pod["spec"]["volumes"]]
    assert len(names) == len(set(names))
    mounts = sidecar(pod)["volumeMounts"]
    assert {mount["name"] for mount in mounts} == {n for n in names if n.startswith("imds")}
    assert [m["name"] for m in mounts if not m.get("readOnly")] == ["imds-state"]
    files = [
        path
        for volume in pod["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        for path in _files(source)
    ]
    assert len(files) == len(set(files))


def _files(source: dict[str, Any]) -> list[str]:
    [(kind, inside)] = source.items()
    if kind == "serviceAccountToken":
        return [inside["path"]]
    return [item["path"] for item in inside["items"]]
