"""The limit of open descriptors is raised as far as permitted, and never lowered."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = "from emulator.runtime.sockets import allow_descriptors as allow; print(allow({}))"


@pytest.mark.parametrize(
    ("limits", "wanted", "granted"),
    [("-Sn 64", 128, 128), ("-n 64", 128, 64), ("-n 256", 128, 256)],
)
def test_the_limit_is_raised_as_far_as_permitted(limits: str, wanted: int, granted: int) -> None:
    command = f'ulimit {limits} && exec "{sys.executable}" -c "{ASK.format(wanted)}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert int(done.stdout) == granted
