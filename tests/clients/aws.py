"""Runs one job with an unmodified boto3; prints what it found, as JSON. Arguments: job, path."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.credentials import Credentials
from botocore.exceptions import MetadataRetrievalError
from botocore.utils import IMDSRegionProvider

PATIENCE = 20
# Keys near their end botocore keeps for 17 to 25 minutes, and asks again when 15 are left.
LATER = dt.timedelta(minutes=15)


def shown(credentials: Credentials | None) -> Any:
    if credentials is None:
        return None
    return {"method": credentials.method, **credentials.get_frozen_credentials()._asdict()}


def find(_path: Path) -> Any:
    """Look for keys and region as every program that says nothing does."""
    session = botocore.session.get_session()
    start = time.monotonic()
    result: dict[str, Any] = {"keys": None, "region": None, "error": ""}
    try:
        result["keys"] = shown(session.get_credentials())
        result["region"] = IMDSRegionProvider(session).provide()
    except MetadataRetrievalError as error:
        result["error"] = str(error)
    return {**result, "seconds": time.monotonic() - start}


def rotate(path: Path) -> Any:
    """Change the keys that the server reads, and use a session's as if it were later."""
    credentials = boto3.Session().get_credentials()
    before = shown(credentials)
    path.write_text(path.read_text().replace("AKIAFIRST", "AKIASECOND"))
    now = credentials._time_fetcher
    credentials._time_fetcher = lambda: now() + LATER
    end = time.monotonic() + PATIENCE
    while (after := shown(credentials)) == before and time.monotonic() < end:
        time.sleep(0.1)
    return {"before": before, "after": after}


def identity(path: Path) -> Any:
    """Be an STS, and ask it who the keys' owner is."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 5000)
    server.start()
    try:
        sts = boto3.client("sts", endpoint_url="http://127.0.0.1:5000", region_name="eu-west-1")
        return {"arn": sts.get_caller_identity()["Arn"], "found": find(path)}
    finally:
        server.stop()


JOBS = {"find": find, "rotate": rotate, "identity": identity}


def main() -> None:
    job, path = sys.argv[1:]
    print(json.dumps(JOBS[job](Path(path))))  # noqa: T201  its result


if __name__ == "__main__":
    main()
