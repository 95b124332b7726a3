"""What the kubelet does for our container of a pod: its volumes, its environment, its start."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import jwt

from tests.sources.test_downward import go_quote
from tests.support.sidecar import FS_GROUP, Sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from tests.support.launcher import Launcher

Object = dict[str, Any]

ISSUER = "https://kubernetes.default.svc.cluster.local"


class Cluster:
    """What pods refer to: ``objects`` are the data of Secrets and ConfigMaps by kind and name."""

    def __init__(
        self, key: RSAPrivateKey, objects: Mapping[tuple[str, str], Mapping[str, bytes]]
    ) -> None:
        self.key = key
        self.objects = objects

    def token(self, pod: Object, audience: str, seconds: int) -> str:
        """Issue a ServiceAccount token, bound to the pod, as the API server does."""
        metadata, now = pod["metadata"], int(time.time())
        namespace, account = metadata["namespace"], pod["spec"]["serviceAccountName"]
        claims = {
            "iss": ISSUER,
            "aud": [audience or ISSUER],
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "kubernetes.io": {
                "namespace": namespace,
                "pod": {"name": metadata["name"], "uid": metadata["uid"]},
                "serviceaccount": {"name": account, "uid": "5c7e9a52-0d3b-4d0a-9b5c-2f6a8d1b4e70"},
            },
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "cluster"})


class Container:
    """Our container of ``pod``, in the network of ``launcher``."""

    def __init__(self, cluster: Cluster, pod: Object, launcher: Launcher) -> None:
        """Lay out its volumes."""
        self._cluster = cluster
        self._pod = pod
        self._launcher = launcher
        # Not pytest's own folder, which is closed to other users: the server is one.
        self.folder = Path(tempfile.mkdtemp(prefix="imds-pod-"))
        self.folder.chmod(0o755)
        [self.spec] = [one for one in pod["spec"]["initContainers"] if one["name"] == "imds"]
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        self._mounts: dict[str, Path] = {}
        for mount in self.spec["volumeMounts"]:
            place = self.folder / mount["name"]
            place.mkdir()
            self._lay_out(place, volumes[mount["name"]])
            self._mounts[mount["mountPath"]] = place

    def start(self) -> Sidecar:
        """Start it as a runtime does: its arguments, its environment, its rights, read-only."""
        security = self.spec["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["capabilities"]["drop"] == ["ALL"]
        added = security["capabilities"].get("add", [])
        return Sidecar(
            self._launcher.pod,
            self.folder,
            tuple(self.spec["args"][1:]),
            env={"HOME": "/", **self._environment()},
            user=security["runAsUser"],
            groups=(security.get("runAsGroup", 0), FS_GROUP),
            capabilities=tuple(name.lower() for name in added),
            standard=False,
            mounts=self._mounts,
        )

    def _environment(self) -> dict[str, str]:
        found = {}
        for variable in self.spec["env"]:
            if "value" in variable:
                found[variable["name"]] = variable["value"]
                continue
            part: Any = self._pod
            for name in variable["valueFrom"]["fieldRef"]["fieldPath"].split("."):
                part = part[name]
            found[variable["name"]] = part
        return found

    def _lay_out(self, place: Path, volume: Object) -> None:
        if "emptyDir" in volume:
            place.chmod(0o2777)
            return
        mode = volume["projected"]["defaultMode"]
        version = place / "..2026_11_26_03_25_36.1"
        for path, data in self._files(volume["projected"]["sources"]).items():
            file = version / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            # With an fsGroup its members may read what the mode lets nobody else read.
            file.chmod(0o640 if path.startswith("tokens/") else mode)
            shutil.chown(file, 0, FS_GROUP)
        (place / "..data").symlink_to(version.name)
        for name in {path.name for path in version.iterdir()}:
            (place / name).symlink_to(f"..data/{name}")

    def _files(self, sources: list[Object]) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for source in sources:
            [(kind, said)] = source.items()
            if kind == "serviceAccountToken":
                token = self._cluster.token(
                    self._pod, said.get("audience", ""), said["expirationSeconds"]
                )
                files[said["path"]] = token.encode()
            elif kind == "downwardAPI":
                for item in said["items"]:
                    values = self._pod["metadata"][item["fieldRef"]["fieldPath"].split(".")[1]]
                    files[item["path"]] = "\n".join(
                        f"{key}={go_quote(value)}" for key, value in sorted(values.items())
                    ).encode()
            else:
                files.update(self._contents(kind, said))
        return files

    def _contents(self, kind: str, said: Object) -> dict[str, bytes]:
        data = self._cluster.objects.get((kind, said["name"]))
        if data is None:
            assert said.get("optional"), f"without {kind} {said['name']} no pod would start"
            return {}
        found = {item["path"]: data[item["key"]] for item in said["items"] if item["key"] in data}
        assert said.get("optional") or len(found) == len(said["items"]), said
        return found

    def close(self) -> None:
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
