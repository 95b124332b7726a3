"""STS: keys of a role for a ServiceAccount token, by botocore (the extra ``aws``).

Only what is passed here counts: neither the host's ``~/.aws`` nor variables that botocore would
read, which are somebody else's, and nothing is asked but the one endpoint.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any

from emulator.core.credentials import RoleCredentials
from emulator.credentials import bounded
from emulator.credentials.kept import Kept
from emulator.errors import CredentialsUnavailable
from emulator.model.credentials import AwsCredentials
from emulator.ports import Ports

# How STS says that the role's trust policy, or who signed the token, does not let it be assumed
# (API reference of AssumeRoleWithWebIdentity, "Errors").
_REFUSED = frozenset({"AccessDenied", "IDPRejectedClaim", "InvalidIdentityToken"})

# A client holds about a megabyte; machines of one region share theirs.
_CLIENTS = 16

_WORD = re.compile(r"[A-Za-z]{1,64}|[0-9]{3}")

# Nothing is signed, so the region is only part of AWS's own addresses.
_ANY_REGION = "us-east-1"


class Sts:
    """Exchanges tokens; its methods block, and any thread may call them."""

    def __init__(self, ports: Ports) -> None:
        """Tell time by ``ports``; botocore is imported when first needed."""
        self._ports = ports
        self._making = threading.Lock()
        self._session: Any = None
        self._clients: Kept[tuple[str, str], Any] = Kept(_CLIENTS)

    def exchange(
        self, config: AwsCredentials, token: str, region: str, name: str
    ) -> RoleCredentials:
        """Give keys for ``token``, as session ``name``; raise ``CredentialsUnavailable``."""
        try:
            from botocore.exceptions import BotoCoreError, ClientError
            from botocore.parsers import ResponseParserError
        except ImportError:
            detail = "botocore is not installed: pip install imds-emulator[aws]"
            raise CredentialsUnavailable("the server lacks what asks STS", detail=detail) from None
        try:
            client = self._client(config.endpoint, _ANY_REGION if config.endpoint else region)
            answer = client.assume_role_with_web_identity(
                RoleArn=config.role_arn,
                # From 2 to 64 characters.
                RoleSessionName=name[:64].ljust(2, "-"),
                WebIdentityToken=token,
                DurationSeconds=config.lifetime,
            )
        except ClientError as error:
            raise _refused(error.response, config) from None
        except (
            *(BotoCoreError, ResponseParserError, ValueError),
            *(OSError, HTTPException),
        ) as error:
            # By its kind alone: the text may hold what was sent.
            detail = f"{config.endpoint or f'STS in {region}'}: {type(error).__name__}"
            raise CredentialsUnavailable("STS does not answer", detail=detail) from None
        return self._credentials(answer, config)

    def _client(self, endpoint: str, region: str) -> Any:  # noqa: ANN401 - botocore has no types
        # Sessions are not made for several threads; clients are.
        with self._making:
            return self._clients.get((endpoint, region), lambda: self._made(endpoint, region))

    def _made(self, endpoint: str, region: str) -> Any:  # noqa: ANN401 - as above
        from botocore import UNSIGNED
        from botocore.config import Config

        if self._session is None:
            self._session = _session()
        client = self._session.create_client(
            "sts",
            region_name=region,
            endpoint_url=endpoint or None,
            config=Config(
                signature_version=UNSIGNED,
                retries={"total_max_attempts": 1, "mode": "standard"},
                proxies={},
                ignore_configured_endpoint_urls=True,
            ),
        )
        client.meta.events.register("before-send.sts", _sender())
        return client

    def _credentials(self, answer: Any, config: AwsCredentials) -> RoleCredentials:  # noqa: ANN401
        given = answer.get("Credentials") or {}
        try:
            return RoleCredentials(
                access_key_id=given["AccessKeyId"],
                secret_access_key=given["SecretAccessKey"],
                token=given["SessionToken"],
                updated=self._ports.wall(),
                expires=given["Expiration"].timestamp(),
                account=config.role_arn.split(":")[4],
            )
        except KeyError as missing:
            detail = f"{config.endpoint}: an answer without {missing}"
            raise CredentialsUnavailable("STS gave no keys", detail=detail) from None


class _Body:
    """What botocore reads an answer from."""

    def __init__(self, body: bytes) -> None:
        """Give ``body``."""
        self._body = body

    def stream(self) -> Iterator[bytes]:
        """Give all of it."""
        yield self._body


def _sender() -> Callable[..., Any]:
    """Give what sends in botocore's place, whose timeouts are for each read."""
    from botocore.awsrequest import AWSResponse
    from botocore.httpsession import get_cert_path

    # An STS of one's own has a certificate that the host knows, not botocore.
    known = ssl.get_default_verify_paths().cafile or get_cert_path(verify=True)
    context = ssl.create_default_context(cafile=known)

    def send(request: Any, **_: object) -> Any:  # noqa: ANN401 - as above
        answer = bounded.post(request.url, request.body.encode(), dict(request.headers), context)
        return AWSResponse(request.url, answer.status, answer.headers, _Body(answer.body))

    return send


class _NoTokens:
    """Finds no bearer token of the host."""

    def load_token(self, **_wanted: object) -> None:
        """Find none."""


def _session() -> Any:  # noqa: ANN401 - as above
    """Give a session in which every setting has its default, wherever else one may stand."""
    from botocore.configprovider import ConfigValueStore, ConstantProvider
    from botocore.loaders import Loader
    from botocore.session import Session

    # At the level debug botocore logs what it sends.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    defaults = {name: row[2] for name, row in Session.SESSION_VARIABLES.items()}
    defaults |= {"config_file": os.devnull, "credentials_file": os.devnull}
    settings = {name: ConstantProvider(value) for name, value in defaults.items()}
    session = Session()
    session.register_component("config_store", ConfigValueStore(mapping=settings))
    session.register_component("token_provider", _NoTokens())
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    session.register_component("data_loader", loader)
    return session


def _refused(response: Any, config: AwsCredentials) -> CredentialsUnavailable:  # noqa: ANN401
    """Say that STS refused, by its code alone: its message may repeat the token."""
    said = str(response.get("Error", {}).get("Code", ""))
    word = said if _WORD.fullmatch(said) else "an error"
    code = "AssumeRoleUnauthorizedAccess" if said in _REFUSED else "Failed"
    return CredentialsUnavailable(
        f"STS does not let the machine assume the role {config.role}: {word}",
        code=code,
        detail=config.role_arn,
    )
