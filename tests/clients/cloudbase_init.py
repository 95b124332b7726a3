"""Runs cloudbase-init's services and its password plugin, its Windows layer replaced.

Its argument is a JSON object: ``posts``, the sizes of further passwords to post; ``service``, the
one to try in place of all. Prints what the service gave, as JSON.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from typing import Any
from unittest import mock
from urllib.error import HTTPError

from cloudbaseinit import conf
from cloudbaseinit.exception import MetadataNotFoundException
from cloudbaseinit.metadata import factory
from cloudbaseinit.metadata.services.base import NotExistingMetadataException
from cloudbaseinit.osutils import factory as systems
from cloudbaseinit.plugins.common.setuserpassword import SetUserPasswordPlugin
from cloudbaseinit.utils import network


def main() -> None:
    job = json.loads(sys.argv[1])
    conf.CONF([], project="cloudbase-init", default_config_files=[])
    conf.CONF.set_override("retry_count", 0)  # a retry waits four seconds; requests are counted
    if job["service"]:
        conf.CONF.set_override("metadata_services", [job["service"]])
    system = mock.Mock()
    system.check_os_version.return_value = True
    system.check_static_route_exists.return_value = False
    system.generate_random_password.return_value = "Pa55-word"
    windows = mock.Mock(platform="win32")
    with (
        mock.patch.object(systems, "get_os_utils", return_value=system),
        mock.patch.object(network, "sys", windows),
    ):
        try:
            result = {**found(), "posted": [posted(size) for size in job["posts"]]}
        except MetadataNotFoundException:
            result = {"service": None, "seconds": 0.0}
    result["routes"] = system.add_static_route.call_count
    print(json.dumps(result, default=encoded))  # noqa: T201  its result


def found() -> dict[str, Any]:
    start = time.monotonic()
    service = factory.get_metadata_service()  # the first in its own order that loads
    result = {
        "service": type(service).__name__,
        "instance_id": service.get_instance_id(),
        "hostname": service.get_host_name(),
        "keys": service.get_public_keys(),
        "certificates": service.get_client_auth_certs(),
        "user_data": optional(service.get_user_data),
        "network": service.get_network_details_v2(),
        "admin_pass": service.get_admin_password(),
        "password_before": service.is_password_set,
    }
    SetUserPasswordPlugin().execute(service, {})
    if result["service"] == "HttpService":
        result["password_after"] = service._get_data("openstack/2013-04-04/password")
    return {**result, "seconds": time.monotonic() - start}


def optional(get: Any) -> Any:
    try:
        return get()
    except NotExistingMetadataException:
        return None


def posted(size: int) -> str:
    """Post a password of ``size`` bytes beside what the plugin did, and give the outcome."""
    service = factory.get_metadata_service()
    try:
        return str(service.post_password(b"x" * size))
    except HTTPError as error:
        return str(error.code)
    except Exception as error:  # noqa: BLE001  its HTTP layer wraps what it does not understand
        return f"{type(error).__name__}: {error}"


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


if __name__ == "__main__":
    main()
