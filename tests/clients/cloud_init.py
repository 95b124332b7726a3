"""Runs one of cloud-init's own data source classes; needs cloud-init on PYTHONPATH.

Only what it asks the machine is answered for it: SMBIOS values, the kernel's command line, and
which network cards there are. Its argument is a JSON object: ``module`` and ``name`` (of the
class), ``config`` (of the source), ``folder`` to write to, ``dmi``, ``cmdline``, ``nics``
(MAC -> name). Prints what the class found, as JSON.
"""

from __future__ import annotations

import base64
import importlib
import json
import logging
import sys
import time
from typing import Any

import yaml
from cloudinit import distros, dmi, helpers, net, util
from cloudinit.config import schema
from cloudinit.net import netplan, network_state


class Warnings(logging.Handler):
    """Keeps what cloud-init warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def main() -> None:
    job = json.loads(sys.argv[1])
    dmi.read_dmi_data = job["dmi"].get
    util.get_cmdline = lambda: job["cmdline"]
    net.get_interfaces_by_mac = lambda *_: job["nics"]
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    result = {**found(job), "warnings": warnings.messages}
    print(json.dumps(result, default=encoded))  # noqa: T201  its result


def found(job: dict[str, Any]) -> dict[str, Any]:
    paths = helpers.Paths({"cloud_dir": job["folder"], "run_dir": job["folder"]})
    distro = distros.fetch("debian")("debian", {}, paths)
    module = importlib.import_module(f"cloudinit.sources.{job['module']}")
    config = {"datasource": job["config"], "datasource_list": [*job["config"], "None"]}
    source = getattr(module, job["name"])(config, distro, paths)
    start, cpu = time.monotonic(), time.process_time()
    loaded = source.get_data()
    seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu
    if not loaded:
        return {"loaded": False, "seconds": seconds, "cpu_seconds": cpu_seconds}
    hostname = source.get_hostname()
    return {
        "loaded": loaded,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "dsmode": source.dsmode,
        "instance_id": source.get_instance_id(),
        # a tuple-like value since 22.x, a string before
        "hostname": getattr(hostname, "hostname", hostname),
        "keys": source.get_public_ssh_keys(),
        "zone": source.availability_zone,
        "launch_index": source.launch_index,
        "metadata": source.metadata,
        "userdata": encoded(source.get_userdata_raw()),
        "vendordata": encoded(source.get_vendordata_raw()),
        "ec2": getattr(source, "ec2_metadata", None),
        "files": {path: encoded(data) for path, data in getattr(source, "files", {}).items()},
        "network": source.network_config,
        "netplan": rendered(source.network_config),
    }


def rendered(config: dict[str, Any] | None) -> Any:
    """Give what cloud-init writes for netplan, and check its input as it does."""
    if not config:
        return None
    if hasattr(schema, "SchemaType"):  # since 24.1
        kind = schema.SchemaType.NETWORK_CONFIG
        schema.validate_cloudconfig_schema(config, schema_type=kind, strict=True)
    state = network_state.parse_net_config_data(config.get("network", config))
    return yaml.safe_load(netplan.Renderer({})._render_content(state))["network"]


def encoded(data: bytes | str | None) -> str | None:
    """Give bytes as base64, for JSON."""
    if data is None:
        return None
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


if __name__ == "__main__":
    main()
