"""What a Kubernetes cluster does to a pod, as documented: imitated, to look at ours with its eyes.

- Pod Security Standards: https://kubernetes.io/docs/concepts/security/pod-security-standards/
- Quality of Service classes: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
- ServiceAccount admission:
  https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
- defaults of the API server (the reference of the Pod API).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

Pod = dict[str, Any]
Container = dict[str, Any]

API_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"

_BASELINE_CAPABILITIES = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
        *("NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
_RESTRICTED_VOLUMES = frozenset(
    (
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
        *("persistentVolumeClaim", "projected", "secret"),
    )
)
_SECCOMP = ("RuntimeDefault", "Localhost")
_UNITS = {
    "Ki": Fraction(1 << 10),
    "Mi": Fraction(1 << 20),
    "Gi": Fraction(1 << 30),
    "m": Fraction(1, 1000),
    "k": Fraction(1000),
    "M": Fraction(1000**2),
    "G": Fraction(1000**3),
}


def containers(pod: Pod) -> list[Container]:
    spec = pod["spec"]
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def defaulted(pod: Pod) -> Pod:
    """Fill in what the API server does when it decodes a pod, between webhooks too."""
    pod = copy.deepcopy(pod)
    for container in containers(pod):
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("resources", {})
        container.setdefault("imagePullPolicy", "Always")
        for variable in container.get("env") or []:
            _with_version(variable.get("valueFrom", {}))
    for volume in pod["spec"].get("volumes") or []:
        for kind in ("projected", "configMap", "secret"):
            volume.get(kind, {}).setdefault("defaultMode", 420)
        for source in volume.get("projected", {}).get("sources", []):
            source.get("serviceAccountToken", {}).setdefault("expirationSeconds", 3600)
            for item in source.get("downwardAPI", {}).get("items", []):
                _with_version(item)
    return pod


def _with_version(holder: dict[str, Any]) -> None:
    holder.get("fieldRef", {}).setdefault("apiVersion", "v1")


def token_mode(pod: Pod, volume: dict[str, Any]) -> int:
    """Give the mode that the kubelet gives to tokens in a projected ``volume``.

    With an fsGroup, or if all containers run as the same user, it is not the volume's (kubernetes,
    pkg/volume/projected, pkg/volume/util): a group reads it then, or that user alone.
    """
    outer = pod["spec"].get("securityContext") or {}
    if "fsGroup" in outer:
        return 0o640
    users = {
        (one.get("securityContext") or {}).get("runAsUser", outer.get("runAsUser"))
        for one in containers(pod)
    }
    alone = len(users) == 1 and users != {None}
    mode = 0o600 if alone else volume["projected"]["defaultMode"]
    assert isinstance(mode, int)
    return mode


def with_api_tokens(pod: Pod) -> Pod:
    """Mount the API's token as the ServiceAccount admission does: where nothing is mounted."""
    pod = copy.deepcopy(pod)
    if pod["spec"].get("automountServiceAccountToken") is False:
        return pod
    for container in containers(pod):
        mounts = container.setdefault("volumeMounts", [])
        if all(mount["mountPath"] != API_TOKEN for mount in mounts):
            mounts.append({"name": "kube-api-access", "readOnly": True, "mountPath": API_TOKEN})
    return pod


def amount(text: str) -> Fraction:
    """Give the number that a quantity is."""
    for unit, size in _UNITS.items():
        if text.endswith(unit):
            return Fraction(text.removesuffix(unit)) * size
    return Fraction(text)


def quality(pod: Pod) -> str:
    """Give the pod's QoS class; init containers count, those that stay like the others."""
    asked = [container.get("resources") or {} for container in containers(pod)]
    limits = [found.get("limits") or {} for found in asked]
    requests = [found.get("requests") or {} for found in asked]
    if not any("cpu" in some or "memory" in some for some in (*limits, *requests)):
        return "BestEffort"
    for limit, request in zip(limits, requests, strict=True):
        for name in ("cpu", "memory"):
            if name not in limit or amount(request.get(name, limit[name])) != amount(limit[name]):
                return "Burstable"
    return "Guaranteed"


def violations(pod: Pod, container: Container, level: str) -> list[str]:
    """Say what PodSecurity's ``level`` finds wrong with one container of a pod.

    Of the pod itself only what a container inherits counts.
    """
    outer = pod["spec"].get("securityContext") or {}
    found = list(_baseline(pod, container, outer))
    if level == "restricted":
        found += _restricted(container, outer)
    return found


def volume_violations(volumes: list[dict[str, Any]]) -> list[str]:
    """Say which volumes ``restricted`` does not admit."""
    return [v["name"] for v in volumes if not _RESTRICTED_VOLUMES & (v.keys() - {"name"})]


def _baseline(pod: Pod, container: Container, outer: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext") or {}
    if own.get("privileged"):
        yield "privileged"
    added = set((own.get("capabilities") or {}).get("add") or [])
    for name in sorted(added - _BASELINE_CAPABILITIES):
        yield f"capabilities.add: {name}"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "hostPort"
    if own.get("procMount") not in (None, "Default"):
        yield "procMount"
    kinds = [c.get("seccompProfile", {}).get("type") for c in (own, outer)]
    if "Unconfined" in kinds:
        yield "seccompProfile: Unconfined"
    if any(pod["spec"].get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "host namespaces"


def _restricted(container: Container, outer: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext") or {}
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if own.get("runAsNonRoot", outer.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot"
    if own.get("runAsUser", outer.get("runAsUser")) == 0:
        yield "runAsUser: 0"
    profile = own.get("seccompProfile", outer.get("seccompProfile")) or {}
    if profile.get("type") not in _SECCOMP:
        yield "seccompProfile"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield "capabilities.drop"
    for name in sorted(set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}):
        yield f"capabilities.add beyond NET_BIND_SERVICE: {name}"
