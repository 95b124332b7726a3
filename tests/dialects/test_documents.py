"""The class by which operators see what was asked for, where nobody may take one for another."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httputil import HTTPHeaders

from emulator.core.message import Answer, Request
from emulator.core.policy import Refusal
from tests.support.guest import COMPLETE, Guest

if TYPE_CHECKING:
    from emulator.core.policy import Document

CLASSES: dict[str, dict[Document, set[str]]] = {
    "openstack": {
        "listing": {"/", "/openstack", "/openstack/latest", "/2009-04-04/meta-data/public-keys"},
        "meta-data": {"/openstack/latest/meta_data.json", "/latest/meta-data/instance-id"},
        "user-data": {
            "/openstack/2012-08-10/user_data",
            "/openstack/content/0001",
            "/latest/user-data",
            "/ec2/1.0/user-data",
        },
        "vendor-data": {
            "/openstack/latest/vendor_data.json",
            "/openstack/latest/vendor_data2.json",
        },
        "network": {"/openstack/latest/network_data.json"},
        "attributes": {"/openstack/latest/password"},
        "keys": {"/latest/meta-data/public-keys/0/openssh-key"},
        "health": {"/healthz"},
    },
    "ec2": {
        "listing": {"/", "/latest/meta-data", "/latest/meta-data/public-keys", "/latest"},
        "meta-data": {"/latest/meta-data/instance-id", "/latest/meta-data/tags/instance/tier"},
        "user-data": {"/latest/user-data", "/2009-04-04/user-data"},
        "network": {
            "/latest/meta-data/network/interfaces/macs/52:54:00:00:00:01/mac",
            "/2021-03-23/meta-data/network/interfaces/macs/52:54:00:00:00:01/mac",
        },
        "keys": {"/latest/meta-data/public-keys/0/openssh-key"},
        "identity": {
            "/latest/dynamic/instance-identity/document",
            "/latest/dynamic/instance-identity/rsa2048",
            "/latest/meta-data/iam/info",
        },
        "credentials": {
            "/latest/meta-data/iam/security-credentials/web-role",
            "/2016-09-02/meta-data/iam/security-credentials/web-role",
            "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
        },
        "session": {"/latest/api/token"},
        "events": {"/latest/meta-data/events/maintenance/scheduled"},
    },
    "gce": {
        "listing": {"/"},
        "meta-data": {
            "/computeMetadata/v1",
            "/computeMetadata/v1/instance/hostname",
            "/computeMetadata/v1/instance/service-accounts/default/email",
            "/computeMetadata/v1/instance/attributes/purpose",
        },
        "user-data": {"/computeMetadata/v1/instance/attributes/user-data"},
        "keys": {"/computeMetadata/v1/instance/attributes/ssh-keys"},
        "network": {"/computeMetadata/v1/instance/network-interfaces/0/ip"},
        "token": {"/computeMetadata/v1/instance/service-accounts/default/token"},
        "identity": {"/computeMetadata/v1/instance/service-accounts/default/identity"},
        "events": {"/computeMetadata/v1/instance/preempted"},
    },
    "azure": {
        "listing": {"/metadata/versions", "wireserver:/"},
        "meta-data": {
            "/metadata/instance",
            "/metadata/instance/compute/vmId",
            "wireserver:/machine",
        },
        "user-data": {"/metadata/instance/compute/userData"},
        "keys": {"/metadata/instance/compute/publicKeys/0/keyData"},
        "network": {"/metadata/instance/network/interface/0/macAddress"},
        "identity": {"/metadata/attested/document", "/metadata/identity/info"},
        "token": {"/metadata/identity/oauth2/token"},
        "events": {"/metadata/scheduledevents"},
    },
    "kubevirt": {
        "listing": {"/imds/v1", "/imds/v1/interfaces"},
        "meta-data": {"/v1/instance", "/imds/v1/uuid", "/imds/v1/tags/tier"},
        "user-data": {"/imds/v1/user-data"},
        "vendor-data": {"/imds/v1/vendor-data"},
        "network": {"/imds/v1/ipv4/address", "/imds/v1/interfaces/0/mac"},
        "keys": {"/imds/v1/ssh-key", "/imds/v1/authorized-keys"},
        "identity": {"/v1/identity", "/v1/identity/document", "/v1/identity/signature"},
        "token": {"/v1/token"},
        "session": {"/v1/api/token"},
    },
    "nocloud": {
        "listing": {"/nocloud"},
        "meta-data": {"/nocloud/meta-data", "/v1/meta-data"},
        "user-data": {"/nocloud/user-data"},
        "vendor-data": {"/nocloud/vendor-data"},
        "network": {"/nocloud/network-config"},
    },
}
SECTIONS = """\
ec2: {credentials: {role: web-role}}
gce: {service_accounts: [{}]}
"""


@pytest.mark.parametrize("name", CLASSES)
def test_documents_are_of_the_class_that_they_look_like(name: str) -> None:
    options = {"kubevirt": "{tokens: optional}"}.get(name, "")
    guest = Guest(f"{COMPLETE}{SECTIONS}dialects: {{{name}: {options}}}\n")
    snapshot = guest.snapshot
    found: dict[Document, set[str]] = defaultdict(set)
    for expected in CLASSES[name].values():
        for path in expected:
            decision = snapshot.decide(Request("GET", path, "", HTTPHeaders()), guest)
            assert decision.known, path
            found[decision.document].add(path)
    assert found == CLASSES[name]


@pytest.mark.parametrize(
    ("name", "path", "headers"),
    [
        ("ec2", "/latest/meta-data/iam/security-credentials/admin", {}),
        ("ec2", "/2016-09-02/meta-data/iam/security-credentials/admin", {}),
        (
            "gce",
            "/computeMetadata/v1/instance/service-accounts/admin@x/token",
            {"Metadata-Flavor": "Google"},
        ),
        (
            "azure",
            "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r&client_id=another",
            {"Metadata": "true"},
        ),
    ],
)
def test_who_asks_for_an_identity_that_it_has_not_is_told_apart(
    name: str, path: str, headers: dict[str, str]
) -> None:
    guest = Guest(f"{COMPLETE}{SECTIONS}dialects: [{name}]\n")
    headers = headers | guest.in_session() if name == "ec2" else headers
    path, _, query = path.partition("?")
    decision = guest.snapshot.decide(Request("GET", path, query, HTTPHeaders(headers)), guest)
    assert decision.document in {"credentials", "token"}
    refusal = decision.refusal
    if query:
        assert not isinstance(decision.answer, Answer)
        request = Request("GET", path, query, HTTPHeaders(headers))
        reply = asyncio.run(awaited(decision.answer(request, guest)))
        refusal = reply.refusal
    assert refusal == Refusal.UNKNOWN_IDENTITY


async def awaited(reply: Any) -> Any:
    return await reply
