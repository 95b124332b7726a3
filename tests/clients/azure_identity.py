"""Runs one job with an unmodified azure-identity or MSAL; prints what it found, as JSON.

Arguments: job, and what it takes, as JSON. Not called ``azure.py``: as a script it would be found
in place of the package.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
import msal
import msal.region
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

SCOPE = "https://management.azure.com/.default"
RESOURCE = "https://management.azure.com"
ENDPOINT = ("127.0.0.1", 5001)
OPERATOR = "http://127.0.0.1:5002"
AUDIENCE = "api://AzureADTokenExchange"


def shown(token: str) -> Any:
    """Give what a token says, None if there is none that can be read."""
    try:
        return jwt.decode(token, options={"verify_signature": False})
    except jwt.DecodeError:
        return token


def timed(credential: DefaultAzureCredential | ManagedIdentityCredential, times: int) -> Any:
    """Ask for a token, and say how long it took."""
    start = time.monotonic()
    result: dict[str, Any] = {"token": None, "expires_in": None, "error": ""}
    try:
        for _ in range(times):
            found = credential.get_token(SCOPE)
            result["token"] = shown(found.token)
            result["expires_in"] = found.expires_on - time.time()
    except ClientAuthenticationError as error:
        result["error"] = str(error)
    return {**result, "seconds": time.monotonic() - start}


def default(_given: Any) -> Any:
    """Look for an identity as every program that says nothing does."""
    return timed(DefaultAzureCredential(), 1)


def managed(given: Any) -> Any:
    """Ask for the machine's identity, or one that is named, three times."""
    return timed(ManagedIdentityCredential(**given), 3)


def through_msal(_given: Any) -> Any:
    """Ask as MSAL does, and where the machine is."""
    session = requests.Session()
    client = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=session)
    found = client.acquire_token_for_client(resource=RESOURCE)
    region = msal.region._detect_region_of_azure_vm(session)
    return {**found, "access_token": shown(found.get("access_token", "")), "region": region}


class Endpoint(BaseHTTPRequestHandler):
    """A directory's token endpoint: verifies the assertion, and says for whom it gave a token."""

    forms: list[Any] = []  # noqa: RUF012  the server makes an object for each request

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: value for name, [value] in parse_qs(text, strict_parsing=True).items()}
        keys = jwt.PyJWKClient(f"{OPERATOR}/openid/v1/jwks")
        assertion = form.pop("client_assertion")
        key = keys.get_signing_key_from_jwt(assertion)
        claims = jwt.decode(assertion, key, algorithms=["RS256"], audience=AUDIENCE)
        self.forms.append({**form, "path": self.path, "sub": claims["sub"]})
        if self.path == "/refuse":
            self._send(401, {"error": "invalid_client", "error_description": "a secret"})
            return
        answer = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599}
        self._send(200, {**answer, "access_token": f"for {form['scope']}"})

    def _send(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: standard output is the job's."""


def federated(given: Any) -> Any:
    """Be the token endpoint, and ask for a token twice."""
    with ThreadingHTTPServer(ENDPOINT, Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            # Another credential, that does not have the first one's token.
            found = [timed(ManagedIdentityCredential(**given), 1) for _ in range(2)]
        finally:
            server.shutdown()
            thread.join()
    return {"found": found, "forms": Endpoint.forms}


JOBS = {"default": default, "managed": managed, "msal": through_msal, "federated": federated}


def main() -> None:
    # Nothing of whoever runs the tests.
    for name in list(os.environ):
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    job, given = sys.argv[1:]
    print(json.dumps(JOBS[job](json.loads(given))))  # noqa: T201  its result


if __name__ == "__main__":
    main()
