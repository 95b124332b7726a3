from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.boot.console import LONGEST_LINE, Console, Event, clean, event


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[    0.0] Linux version 6.1.0-50-cloud-amd64 (x)", ("kernel", "6.1.0-50-cloud-amd64")),
        (
            'BdsDxe: starting Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x3,0x0)',
            ("firmware", "Boot0001"),
        ),
        ("BdsDxe: No bootable option or device was found.", ("no-loader", None)),
        ("[ 3.1] Kernel panic - not syncing: VFS: Unable to mount root fs", ("panic", None)),
        ("ALERT!  LABEL=root does not exist.  Dropping to a shell!", ("no-root", None)),
        ("You are in emergency mode. After logging in, type", ("emergency", None)),
        ("[ 98.6] cloud-init[496]: Cloud-init v. 22.4.2 running 'modules:final' at Sun, 22 Nov",
         ("stage", "modules:final")),
        ("[  9.9] cloud-init[3]: 2026-11-22 00:10:56,391 - util.py[WARNING]: No active service",
         ("warning", "No active service")),
        ("x - util.py[WARNING]: Running module runcmd (<module 'x'>) failed", ("error", None)),
        ("x - url_helper.py[ERROR]: Timed out, no response", ("error", "Timed out, no response")),
        ("[FAILED] Failed to start cloud-final.service - Cloud-init: Final", ("error", None)),
        ("[  OK  ] Finished cloud-final.service - Cloud-init: Final Stage.", ("ended", None)),
        ("[  OK  ] Finished cloud-final.servic… Execute user/final scripts.", ("ended", None)),
        ("[  OK  ] Reached target cloud-init.target - Cloud-init target.", ("ended", None)),
        ("[  109.1] reboot: Power down", ("power-off", "reboot: Power down")),
        ("[  109.1] reboot: Restarting system", ("reboot", "Restarting system")),
        ("web-1 login: ", ("login", "web-1")),
    ],
)  # fmt: skip
def test_lines_of_note(line: str, expected: tuple[str, str | None]) -> None:
    found = event(line)
    assert found is not None
    assert found.kind == expected[0]
    assert found.text == (expected[1] or found.text)
    assert found.text


@pytest.mark.parametrize(
    ("version", "datasource", "name"),
    [
        (
            "22.4.2",
            "DataSourceNoCloudNet [seed=dmi,http://h/][dsmode=net]",
            "DataSourceNoCloudNet",
        ),
        ("25.1.4", "DataSourceOpenStackLocal [net,ver=2]", "DataSourceOpenStackLocal"),
        ("25.2-0ubuntu1~24.04.1", "DataSourceNone", "DataSourceNone"),
    ],
)
def test_the_final_message(version: str, datasource: str, name: str) -> None:
    line = (
        f"web-1 login: [  105.4] cloud-init[496]: Cloud-init v. {version} finished at "
        f"Sun, 22 Nov 2026 00:11:58 +0000. Datasource {datasource}.  Up 105.38 seconds"
    )
    assert event(line) == Event("final", name, version)


@pytest.mark.parametrize(
    "line", ["", "hello", "cloud-init[1]: ci-info: | eth0 |", "Linux is fine"]
)
def test_most_lines_say_nothing(line: str) -> None:
    assert event(line) is None


def test_lines_are_cleaned_of_what_steers_a_terminal() -> None:
    raw = b"\x1b[2J\x1b[01;01H[\x1b[0;32m  OK  \x1b[0m] Fine\r\n\x1b]0;title\x07x\x9b31m\n"
    assert Console().feed(raw)[0] == "[  OK  ] Fine"
    assert "\x1b" not in clean(raw.decode("latin-1"))
    assert "\x9b" not in clean(raw.decode("latin-1"))


def test_only_whole_lines_are_given_and_the_last_one_at_the_end() -> None:
    console = Console(keep=2)
    assert console.feed(b"one\n\ntwo\nthr") == ["one", "two"]
    assert console.feed(b"ee") == []
    assert console.finish() == ["three"]
    assert console.finish() == []
    assert console.tail == ["two", "three"]


def test_a_line_without_end_does_not_grow() -> None:
    console = Console()
    assert len(console.feed(b"x" * (LONGEST_LINE + 1))) == 1
    assert console.finish() == []


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_read_however_they_are_cut(data: bytes, cut: int) -> None:
    whole, parts = Console(), Console()
    expected = whole.feed(data) + whole.finish()
    got = parts.feed(data[:cut]) + parts.feed(data[cut:]) + parts.finish()
    assert got == expected
    for line in got:
        event(line)
