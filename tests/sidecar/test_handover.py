"""The command line of the server that a sidecar becomes."""

from __future__ import annotations

from emulator.sidecar.config import SidecarConfig
from emulator.sidecar.handover import arguments

DEFAULTS = ("--audit", "-", "--log-level", "info")


def test_what_is_not_given_is_not_passed_on() -> None:
    config = SidecarConfig(podinfo="/run/imds")
    assert arguments(config, ["fd:3"], {}, []) == [
        *("serve", "--podinfo", "/run/imds", "--listen", "fd:3", "--operator", "off"),
        *DEFAULTS,
    ]


def test_everything_is_passed_on() -> None:
    config = SidecarConfig(
        podinfo="/run/imds/",
        state="/state/",
        templates="/templates",
        audit="off",
        log_level="debug",
    )
    present = ["identity.key", "..data", "session.key", "identity.crt"]
    assert arguments(config, ["fd:3", "fd:4"], {"wireserver": "fd:5"}, present) == [
        *("serve", "--podinfo", "/run/imds/", "--listen", "fd:3", "--listen", "fd:4"),
        *("--door", "wireserver=fd:5", "--operator", "unix:/state/operator"),
        *("--state", "/state/", "--templates", "/templates"),
        *("--audit", "off", "--log-level", "debug"),
        *("--session-key", "/run/imds/keys/session.key"),
        *("--identity-cert", "/run/imds/keys/identity.crt"),
        *("--identity-key", "/run/imds/keys/identity.key"),
    ]


def test_the_operators_place_can_be_chosen() -> None:
    config = SidecarConfig(podinfo="/p", state="/s", operator="127.0.0.1:1")
    given = arguments(config, [], {}, [])
    assert given[given.index("--operator") + 1] == "127.0.0.1:1"


def test_cert_managers_names_give_way() -> None:
    config = SidecarConfig(podinfo="/p", state="/s")
    given = arguments(config, [], {}, ["tls.crt", "tls.key"])
    assert given[-4:] == [
        "--identity-cert",
        "/p/keys/tls.crt",
        "--identity-key",
        "/p/keys/tls.key",
    ]
    given = arguments(config, [], {}, ["tls.crt", "tls.key", "identity.crt", "identity.key"])
    # The command line takes the last one.
    assert given[-4:] == [
        *("--identity-cert", "/p/keys/identity.crt"),
        *("--identity-key", "/p/keys/identity.key"),
    ]
