"""AdmissionReview (``admission.k8s.io/v1``): bytes to a request, and a verdict to bytes."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from emulator.model.document import quoted
from emulator.webhook.patch import difference
from emulator.webhook.verdict import Request, Verdict

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"

# What the API server and kubectl show well: a list of fields, each with what is wrong with it.
_INVALID = {"status": "Failure", "reason": "Invalid", "code": 422}
_CAUSE = "FieldValueInvalid"


class Unreadable(Exception):
    """No AdmissionReview of the one version that is known; ``str()`` says what it is instead."""


class _Review(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: msgspec.Raw = msgspec.Raw()


_REVIEW = msgspec.json.Decoder(_Review)
_REQUEST = msgspec.json.Decoder(Request)


def read(body: bytes) -> Request:
    """Give the request in ``body``; raise ``Unreadable``."""
    try:
        review = _REVIEW.decode(body)
        if (review.api_version, review.kind) != (API_VERSION, KIND):
            got = quoted(f"{review.kind} of {review.api_version}")
            raise Unreadable(
                f"this is {got}; send {KIND} of {API_VERSION} (admissionReviewVersions: [v1])"
            )
        return _REQUEST.decode(review.request)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"this is no {KIND} of {API_VERSION}: {error}") from None


def write(request: Request, verdict: Verdict) -> bytes:
    """Give the answer to ``request``."""
    response: dict[str, Any] = {"uid": request.uid, "allowed": verdict.allowed}
    if verdict.warnings:
        response["warnings"] = verdict.warnings
    if verdict.causes:
        response["status"] = _status(request, verdict)
    else:
        patch = difference(request.object, verdict.object)
        if patch:
            response["patchType"] = "JSONPatch"
            response["patch"] = b64encode(msgspec.json.encode(patch)).decode()
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def _status(request: Request, verdict: Verdict) -> dict[str, Any]:
    """Say why not: one line for each cause, and the causes by field."""
    causes = [
        {"reason": _CAUSE, "field": cause.field, "message": cause.message}
        for cause in verdict.causes
    ]
    details = {
        "group": request.kind.group,
        "kind": request.kind.kind,
        "name": request.name,
        "causes": causes,
    }
    message = "\n".join(f"{cause.field}: {cause.message}" for cause in verdict.causes)
    return {**_INVALID, "message": message, "details": details}
