"""Runs one job with an unmodified google-auth; prints what it found and asked for, as JSON.

Arguments: the job, and one of its own (see each). Needs the checkout on PYTHONPATH.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import google.auth.compute_engine
import google.auth.transport.requests
import google.oauth2.id_token
import jwt
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from tests.support.wire import Wire

# It says that it has types, and has hardly any.
auth: Any = google.auth
compute_engine: Any = google.auth.compute_engine
id_token: Any = google.oauth2.id_token
requests: Any = google.auth.transport.requests

OPERATOR = "http://127.0.0.1:16926"
KEYS = f"{OPERATOR}/openid/v1/jwks"


def shown(credentials: Any) -> dict[str, Any]:
    return {
        "class": f"{type(credentials).__module__}.{type(credentials).__qualname__}",
        "email": credentials.service_account_email,
        "scopes": credentials.scopes,
        "token": credentials.token,
        "valid": credentials.valid,
        "lifetime": (credentials.expiry - auth._helpers.utcnow()).total_seconds(),
    }


def default(scopes: str) -> Any:
    """Find credentials as every program that says nothing does, and refresh them twice."""
    start = time.monotonic()
    credentials, project = auth.default(scopes=scopes.split() or None)
    request = requests.Request()
    credentials.refresh(request)
    seconds = time.monotonic() - start
    first = shown(credentials)
    credentials.refresh(request)
    return {"project": project, "first": first, "second": shown(credentials), "seconds": seconds}


def use(url: str) -> Any:
    """Have an authorized session ask for ``url``, which it first gets a token for."""
    credentials, _project = auth.default()
    session = requests.AuthorizedSession(credentials)
    statuses = [session.get(url).status_code for _ in range(2)]
    return {"statuses": statuses, "universe": credentials.universe_domain}


def named(account: str) -> Any:
    """Be another account than the default one."""
    request = requests.Request()
    credentials = compute_engine.Credentials(service_account_email=account)
    credentials.refresh(request)
    token, _expiry = compute_engine._metadata.get_service_account_token(
        request, service_account=account
    )
    return {**shown(credentials), "own": token}


def identity(audience: str) -> Any:
    """Get signed identities in all ways that there are, and have them verified by a reader."""
    request = requests.Request()
    fetched = id_token.fetch_id_token(request, audience)
    credentials = compute_engine.IDTokenCredentials(
        request, audience, use_metadata_identity_endpoint=True
    )
    credentials.refresh(request)
    path = "instance/service-accounts/default/identity"
    plain = compute_engine._metadata.get(request, path, params={"audience": audience})
    wide = {"audience": audience, "format": "full", "licenses": "TRUE"}
    licensed = compute_engine._metadata.get(request, path, params=wide)
    return {
        "email": credentials.service_account_email,
        "fetched": verified(fetched, audience),
        "credentials": verified(credentials.token, audience),
        "plain": verified(plain, audience),
        "licensed": verified(licensed, audience),
        "other": refused(plain, "https://other.example"),
        "google": id_token.verify_token(plain, request, audience, certs_url=KEYS),
    }


def verified(token: str, audience: str) -> Any:
    """Verify as a service does that is told whose keys to believe."""
    key = jwt.PyJWKClient(KEYS).get_signing_key_from_jwt(token)
    required = ["aud", "azp", "email", "exp", "iat", "iss", "sub"]
    return jwt.decode(
        token, key, algorithms=["RS256"], audience=audience, options={"require": required}
    )


def refused(token: str, audience: str) -> str:
    try:
        verified(token, audience)
    except jwt.InvalidTokenError as error:
        return type(error).__name__
    return ""


def absent(_argument: str) -> Any:
    """Say what it believes where it should find nothing."""
    request = requests.Request()
    start = time.monotonic()
    result: dict[str, Any] = {
        "ping": compute_engine._metadata.ping(request),
        "is_on_gce": compute_engine._metadata.is_on_gce(request),
    }
    try:
        auth.default()
    except DefaultCredentialsError as error:
        result["error"] = str(error)
    return {**result, "seconds": time.monotonic() - start}


def without(_argument: str) -> Any:
    """Ask for a token where there is a project, and no account."""
    credentials, project = auth.default()
    start = time.monotonic()
    try:
        credentials.refresh(requests.Request())
    except RefreshError as error:
        return {"project": project, "error": str(error), "seconds": time.monotonic() - start}
    return {"project": project, "error": ""}


JOBS = {
    "absent": absent,
    "default": default,
    "identity": identity,
    "named": named,
    "use": use,
    "without": without,
}


def main() -> None:
    job, argument = sys.argv[1:]
    with Wire() as wire:
        result = JOBS[job](argument)
    print(json.dumps({**result, "lines": wire.lines}))  # noqa: T201  its result


if __name__ == "__main__":
    main()
