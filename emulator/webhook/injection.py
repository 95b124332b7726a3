"""What a VM's pod gets: the sidecar's container and its volumes. Pure: values in, JSON out."""

from __future__ import annotations

from typing import Any

from emulator.dialects import switched_on
from emulator.sources.admission import Described
from emulator.sources.wishes import Wishes
from emulator.webhook.settings import Settings
from emulator.webhook.verdict import Object

CONTAINER = "imds"
PODINFO, STATE, NO_TOKEN, TEMPLATES = (
    "imds",
    "imds-state",
    "imds-no-api-token",
    "imds-templates",
)
VOLUMES = (PODINFO, STATE, NO_TOKEN, TEMPLATES)

COMMAND = "sidecar"
"""The first argument of our container, by which it is known again."""

_FOLDERS = {
    PODINFO: "/run/imds",
    STATE: "/var/lib/imds-emulator",
    # Here the API server's ServiceAccount admission mounts a token of the API into each container
    # that has nothing mounted. The sidecar asks the API for nothing.
    NO_TOKEN: "/var/run/secrets/kubernetes.io/serviceaccount",
    TEMPLATES: "/etc/imds-emulator/templates",
}
_STATE_LIMIT, _EMPTY_LIMIT = "16Mi", "1Mi"
# Readable by the user that the sidecar becomes, whatever the pod's fsGroup: no other container
# has the volume. With an fsGroup the kubelet makes tokens 0640 of that group, which it stays in.
_MODE = 0o444
_UNPRIVILEGED = 65532

# The last two are cert-manager's names for the pair before.
_KEYS = ("session.key", "identity.crt", "identity.key", "tls.crt", "tls.key")
_CONTENTS = (
    ("user-data", "userdata", "user_data_secret", "user_data_config_map"),
    ("vendor-data", "vendordata", "vendor_data_secret", "vendor_data_config_map"),
)

# To plumb the pod's network, to bind port 80, and to become a user that may do neither.
_NEEDED = ("NET_ADMIN", "NET_BIND_SERVICE", "SETGID", "SETUID")


def container(described: Described, name: str, settings: Settings) -> Object:
    """Give the sidecar of the machine ``name``, a native one: an init container that stays.

    It has no probe: one of startup would hold up what its bridge waits for, and those of HTTP have
    no address to ask. Requests are the limits, so that a pod that is Guaranteed stays so.
    """
    wishes = described.wishes
    amounts = {"cpu": settings.resources.cpu, "memory": settings.resources.memory}
    env: list[Object] = [
        _field_env("IMDS_NAMESPACE", "metadata.namespace"),
        _field_env("IMDS_SA_NAME", "spec.serviceAccountName"),
    ]
    if name:
        env.append({"name": "IMDS_VM_NAME", "value": name})
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "args": _arguments(described),
        "env": env,
        "resources": {"requests": amounts, "limits": dict(amounts)},
        "securityContext": _security(wishes),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_mount(volume) for volume in _used(wishes)],
    }


def volumes(wishes: Wishes, settings: Settings) -> list[Object]:
    """Give the volumes of the sidecar."""
    made: list[Object] = [
        {
            "name": PODINFO,
            "projected": {"defaultMode": _MODE, "sources": _sources(wishes, settings)},
        },
        {"name": STATE, "emptyDir": {"sizeLimit": _STATE_LIMIT}},
        {"name": NO_TOKEN, "emptyDir": {"sizeLimit": _EMPTY_LIMIT}},
    ]
    if wishes.templates:
        config_map = {"name": wishes.templates, "defaultMode": _MODE}
        made.append({"name": TEMPLATES, "configMap": config_map})
    return made


def _arguments(described: Described) -> list[str]:
    wishes = described.wishes
    arguments = [COMMAND, "--podinfo", _FOLDERS[PODINFO], "--state", _FOLDERS[STATE]]
    for dialect, _ in switched_on(described.instance):
        for door in dialect.doors:
            arguments += ["--door", door]
    if wishes.bridge:
        arguments += ["--bridge", wishes.bridge]
    if wishes.plumbing == "plugin":
        arguments += ["--plumbing", "none"]
    if wishes.templates:
        arguments += ["--templates", _FOLDERS[TEMPLATES]]
    if not wishes.audit:
        arguments += ["--audit", "off"]
    if wishes.log_level != Wishes().log_level:
        arguments += ["--log-level", wishes.log_level]
    return arguments


def _security(wishes: Wishes) -> Object:
    """Give what plumbing needs and no more; nothing where a plugin does it."""
    plumbs = wishes.plumbing == "sidecar"
    common: Object = {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if plumbs:
        capabilities = {"drop": ["ALL"], "add": list(_NEEDED)}
        user = {"runAsUser": 0, "runAsNonRoot": False}
    else:
        capabilities = {"drop": ["ALL"]}
        user = {"runAsUser": _UNPRIVILEGED, "runAsGroup": _UNPRIVILEGED, "runAsNonRoot": True}
    return {**common, **user, "capabilities": capabilities}


def _used(wishes: Wishes) -> tuple[str, ...]:
    return VOLUMES if wishes.templates else (PODINFO, STATE, NO_TOKEN)


def _mount(volume: str) -> Object:
    mount: Object = {"name": volume, "mountPath": _FOLDERS[volume]}
    return mount if volume == STATE else {**mount, "readOnly": True}


def _field_env(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _sources(wishes: Wishes, settings: Settings) -> list[Object]:
    """Give what ``sources.podinfo`` reads, and the namespace's keys."""
    sources: list[Object] = [
        {
            "downwardAPI": {
                "items": [
                    {"path": what, "fieldRef": {"fieldPath": f"metadata.{what}"}}
                    for what in ("annotations", "labels")
                ]
            }
        },
        _token("token", wishes.token_seconds),
    ]
    sources += [_token(one.file, one.seconds, audience=one.audience) for one in wishes.audiences]
    for content, key, secret, config_map in _CONTENTS:
        for kind, field in (("secret", secret), ("configMap", config_map)):
            if getattr(wishes, field):
                sources.append(_content(kind, getattr(wishes, field), key, content))
    keys = [{"key": key, "path": f"keys/{key}"} for key in _KEYS]
    # Admission cannot see whether it exists; without it there are no identity documents.
    sources.append({"secret": {"name": settings.keys_secret, "optional": True, "items": keys}})
    return sources


def _token(file: str, seconds: int, **more: str) -> Object:
    token: dict[str, Any] = {"path": f"tokens/{file}", "expirationSeconds": seconds, **more}
    return {"serviceAccountToken": token}


def _content(kind: str, where: str, key: str, path: str) -> Object:
    """Give the source for ``NAME`` or ``NAME/KEY``; the pod does not start without it."""
    name, _, named = where.partition("/")
    items = [{"key": named or key, "path": f"secrets/{path}"}]
    return {kind: {"name": name, "items": items}}
