"""Asks as cloud-init's data source for Azure does; needs cloud-init on PYTHONPATH.

The functions are cloud-init's own, of either release. Not called is what only a booted machine
has: DHCP, disks, and the kernel's names of its cards. Its argument is a JSON object: ``folder``
to write to, ``endpoint`` of the wireserver, ``operator`` (URL of the page about guests), ``why``
(what to report as a failure, or empty). Prints what it found, as JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import urllib.request
from typing import Any

from cloudinit import distros, helpers
from cloudinit.sources import DataSourceAzure as Azure
from cloudinit.sources.helpers.azure import WALinuxAgentShim

try:
    from cloudinit.sources.azure import imds
except ImportError:  # before 23.1 it was a part of the data source
    imds = None


class Warnings(logging.Handler):
    """Keeps what cloud-init warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def main() -> None:
    job = json.loads(sys.argv[1])
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    paths = helpers.Paths({"cloud_dir": job["folder"], "run_dir": job["folder"]})
    distro = distros.fetch("debian")("debian", {}, paths)
    source = Azure.DataSourceAzure({}, distro, paths)
    start = time.monotonic()
    metadata = fetched(source)
    seconds = time.monotonic() - start
    result = {"metadata": metadata, "seconds": seconds}
    if metadata:
        result |= read(source, metadata)
        result |= {"guests": reported(distro, job)}
    print(json.dumps({**result, "warnings": warnings.messages}))  # noqa: T201  its result


def fetched(source: Any) -> Any:
    """Give the document; where there is none, stop soon rather than after minutes."""
    if imds is None:
        return source.get_imds_data_with_api_fallback(retries=0)
    try:
        return imds.fetch_metadata_with_api_fallback(retry_deadline=time.monotonic())
    except Azure.UrlError as error:
        return {} if error.code else None


def read(source: Any, metadata: Any) -> dict[str, Any]:
    """Give what it takes from the document."""
    generate = Azure.generate_network_config_from_instance_network_metadata
    arguments = {} if imds is None else {"apply_network_config_for_secondary_ips": True}
    return {
        "username": Azure._username_from_imds(metadata),
        "hostname": Azure._hostname_from_imds(metadata),
        "no_password": Azure._disable_password_from_imds(metadata),
        "userdata": Azure._userdata_from_imds(metadata),
        "keys": source._get_public_keys_from_imds(metadata),
        "pps_type": source._determine_pps_type({}, metadata).value,
        "valid": source.validate_imds_network_metadata(imds_md=metadata),
        "network": generate(metadata["network"], **arguments) if "network" in metadata else None,
    }


def reported(distro: Any, job: dict[str, Any]) -> Any:
    """Report to the wireserver, and give what its operator then sees."""
    shim = WALinuxAgentShim(endpoint=job["endpoint"])
    if job["why"]:
        shim.register_with_azure_and_report_failure(description=job["why"])
    else:
        arguments = {} if imds is None else {"distro": distro}
        shim.register_with_azure_and_fetch_data(**arguments)
    with urllib.request.urlopen(job["operator"], timeout=10) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    main()
