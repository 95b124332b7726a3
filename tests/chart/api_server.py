"""As much of Kubernetes' API as Helm and kubectl need to install: objects, kept in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.chart import protobuf

Object = dict[str, Any]

# Group and version, kind, plural, and whether it lives in a namespace.
KINDS = (
    ("v1", "ConfigMap", "configmaps", True),
    ("v1", "Namespace", "namespaces", False),
    ("v1", "Secret", "secrets", True),
    ("v1", "Service", "services", True),
    ("v1", "ServiceAccount", "serviceaccounts", True),
    ("apps/v1", "Deployment", "deployments", True),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", True),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", True),
    ("cert-manager.io/v1", "Certificate", "certificates", True),
    ("cert-manager.io/v1", "Issuer", "issuers", True),
    *(
        ("admissionregistration.k8s.io/v1", f"{kind}Configuration", f"{plural}s", False)
        for kind, plural in (
            ("MutatingWebhook", "mutatingwebhookconfiguration"),
            ("ValidatingWebhook", "validatingwebhookconfiguration"),
        )
    ),
)
VERBS = ["create", "delete", "get", "list", "patch", "update"]


class Cluster:
    """The objects, by the path at which they are asked for."""

    def __init__(self, version: str = "v1.36.0") -> None:
        self.version = version
        self.url = ""
        self.objects: dict[str, Object] = {}
        self.lock = threading.Lock()

    def secret(self, namespace: str, name: str) -> dict[str, str] | None:
        """Give what a Secret holds, if there is one."""
        found = self.objects.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return found and found["data"]

    def remove(self, namespace: str, name: str) -> None:
        """Delete a Secret, as somebody with kubectl would."""
        del self.objects[f"/api/v1/namespaces/{namespace}/secrets/{name}"]

    def kubeconfig(self) -> str:
        """Give a kubeconfig file's text."""
        context = {"cluster": "fake", "user": "nobody"}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
                "users": [{"name": "nobody", "user": {}}],
                "contexts": [{"name": "fake", "context": context}],
                "current-context": "fake",
            }
        )


@contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """Answer for ``cluster`` on a free port of the loopback address."""

    class Handler(_Handler):
        kept = cluster

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cluster.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    kept: Cluster
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet: its client acknowledges the first of two late

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        known = _discovery(self.kept.version).get(path)
        if path == "/openapi/v2":
            self._send(200, "application/octet-stream", b"")
        elif known is not None:
            self._answer(known)
        elif path.rpartition("/")[2] in {plural for _, _, plural, _ in KINDS}:
            self._answer(self._listed(path))
        else:
            self._answer(self.kept.objects.get(path))

    def do_POST(self) -> None:
        made = self._body()
        path = f"{urlsplit(self.path).path}/{made['metadata']['name']}"
        if path in self.kept.objects:
            self._answer(_status(409, "AlreadyExists"), 409)
        else:
            self._answer(self._keep(path, made), 201)

    def do_PUT(self) -> None:
        self._answer(self._keep(urlsplit(self.path).path, self._body()))

    def do_PATCH(self) -> None:
        path = urlsplit(self.path).path
        change = self._body()
        if "apply" in self.headers["Content-Type"]:
            before = self.kept.objects.get(path)
            self._answer(self._keep(path, change), 200 if before else 201)
        elif path in self.kept.objects:
            self._answer(self._keep(path, _merged(self.kept.objects[path], change)))
        else:
            self._answer(None)

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(self.kept.objects.pop(urlsplit(self.path).path, None))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name in the library
        """Say nothing."""

    def _body(self) -> Any:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers["Content-Type"] == "application/vnd.kubernetes.protobuf":
            return protobuf.secret(sent)
        return yaml.load(sent, yaml.CSafeLoader) if sent else {}

    def _keep(self, path: str, made: Object) -> Object:
        parts = path.split("/")
        with self.kept.lock:
            if "namespaces" in parts[:-2]:
                made["metadata"]["namespace"] = parts[parts.index("namespaces") + 1]
            made["metadata"].setdefault("uid", f"00000000-0000-4000-8000-{len(path):012}")
            made["metadata"]["resourceVersion"] = str(len(self.kept.objects) + 1)
            made["metadata"].pop("managedFields", None)
            self.kept.objects[path] = made
        return made

    def _listed(self, path: str) -> Object:
        (selector,) = parse_qs(urlsplit(self.path).query).get("labelSelector", [""])
        wanted = dict(term.split("=", 1) for term in selector.split(",") if "=" in term)
        found = [
            each
            for place, each in self.kept.objects.items()
            if place.rpartition("/")[0] == path
            and wanted.items() <= (each["metadata"].get("labels") or {}).items()
        ]
        (kind,) = {kind for _, kind, plural, _ in KINDS if path.endswith(f"/{plural}")}
        version = found[0]["apiVersion"] if found else "v1"
        return {"apiVersion": version, "kind": f"{kind}List", "metadata": {}, "items": found}

    def _answer(self, what: Object | None, status: int = 200) -> None:
        if what is None:
            what, status = _status(404, "NotFound"), 404
        self._send(status, "application/json", json.dumps(what).encode())

    def _send(self, status: int, kind: str, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def _status(code: int, reason: str) -> Object:
    kind = {"apiVersion": "v1", "kind": "Status", "status": "Failure"}
    return {**kind, "reason": reason, "code": code, "message": f"the server says {reason}"}


def _merged(old: Any, change: Any) -> Any:
    """Apply a merge patch (RFC 7396), which a strategic one is for what is changed here."""
    if not isinstance(change, dict) or not isinstance(old, dict):
        return change
    kept = {name: value for name, value in old.items() if change.get(name, "") is not None}
    new = {name: value for name, value in change.items() if value is not None}
    return kept | {name: _merged(old.get(name), value) for name, value in new.items()}


def _discovery(version: str) -> dict[str, Object]:
    """Say what there is, in the words of the API of old, which both Helms still understand."""
    major, minor = version.removeprefix("v").split(".")[:2]
    answers: dict[str, Object] = {
        "/version": {"major": major, "minor": minor, "gitVersion": version},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
    }
    groups = []
    for place in sorted({place for place, *_ in KINDS}):
        group, _, number = place.rpartition("/")
        if group:
            served = {"groupVersion": place, "version": number}
            groups.append({"name": group, "versions": [served], "preferredVersion": served})
        answers[f"/apis/{place}" if group else f"/api/{place}"] = {
            "apiVersion": "v1",
            "kind": "APIResourceList",
            "groupVersion": place,
            "resources": [
                {
                    "name": plural,
                    "singularName": kind.lower(),
                    "namespaced": namespaced,
                    "kind": kind,
                    "verbs": VERBS,
                }
                for where, kind, plural, namespaced in KINDS
                if where == place
            ],
        }
    answers["/apis"] = {"apiVersion": "v1", "kind": "APIGroupList", "groups": groups}
    return answers
