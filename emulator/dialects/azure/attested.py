"""The signed document with which a machine proves who it is (contract 5.4)."""

from __future__ import annotations

import datetime as dt
import re
from base64 import b64decode
from base64 import b64encode as encoded
from collections.abc import Mapping

import msgspec

from emulator.core.message import Done, Reply, Request, Services
from emulator.dialects.azure.errors import JSON, error
from emulator.dialects.azure.query import versioned

_NONCE = re.compile(r"[A-Za-z0-9]{1,64}")
_BAD_NONCE = error("Bad request. nonce is 1 to 64 letters and digits")
_LIFETIME = 6 * 3600
_FORM = "attested"


class AttestedDocument(msgspec.Struct, frozen=True):
    """Signs ``facts`` of the machine with a nonce and a time, whenever it is asked."""

    facts: Mapping[str, object]

    async def __call__(self, request: Request, services: Services) -> Done:
        """Give the document, with the ``nonce`` that is asked for, else with the time as one."""
        asked = versioned(request.query)
        if isinstance(asked, Reply):
            return asked
        now = services.ports.wall()
        nonce = asked.get("nonce")
        if nonce is not None and not _NONCE.fullmatch(nonce):
            return _BAD_NONCE
        moment = dt.datetime.fromtimestamp(int(now), dt.UTC)
        document = {
            **self.facts,
            "nonce": nonce or f"{moment:%Y%m%d-%H%M%S}",
            "timeStamp": {
                "createdOn": _time(moment),
                "expiresOn": _time(moment + dt.timedelta(seconds=_LIFETIME)),
            },
        }
        signed = await services.seal(_FORM, msgspec.json.encode(document))
        answer = {"encoding": "pkcs7", "signature": encoded(b64decode(signed)).decode()}
        return Reply(200, msgspec.json.encode(answer), JSON)


def _time(moment: dt.datetime) -> str:
    return f"{moment:%m/%d/%y %H:%M:%S} -0000"
