"""cert-manager's objects, as far as the chart makes them: no registry has its own schemas.

Written after cert-manager's reference of its API (cert-manager.io/v1), closed, so that a
misspelt field is refused as the API server would prune it.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _closed(*required: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT: Schema = {"type": "string", "minLength": 1}
DURATION: Schema = {"type": "string", "pattern": "^([0-9]+(h|m|s))+$"}
REFERENCE = _closed("name", name=TEXT, kind={"enum": ["Issuer", "ClusterIssuer"]}, group=TEXT)
USAGES = ["signing", "digital signature", "key encipherment", "server auth", "client auth"]
METADATA = _closed(
    "name",
    "namespace",
    name=TEXT,
    namespace=TEXT,
    labels={"type": "object", "additionalProperties": TEXT},
)
SPECS = {
    "Issuer": {
        "oneOf": [
            _closed("selfSigned", selfSigned=_closed()),
            _closed("ca", ca=_closed("secretName", secretName=TEXT)),
        ]
    },
    "Certificate": _closed(
        "secretName",
        "issuerRef",
        secretName=TEXT,
        issuerRef=REFERENCE,
        isCA={"type": "boolean"},
        commonName={**TEXT, "maxLength": 64},
        dnsNames={"type": "array", "minItems": 1, "items": TEXT},
        usages={"type": "array", "minItems": 1, "items": {"enum": USAGES}},
        duration=DURATION,
        renewBefore=DURATION,
        privateKey=_closed(
            algorithm={"enum": ["RSA", "ECDSA", "Ed25519"]},
            size={"enum": [256, 384, 521, 2048, 4096]},
            rotationPolicy={"enum": ["Never", "Always"]},
        ),
    ),
}
SCHEMAS = {
    kind: _closed(
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        apiVersion={"const": "cert-manager.io/v1"},
        kind={"const": kind},
        metadata=METADATA,
        spec=spec,
    )
    for kind, spec in SPECS.items()
}
