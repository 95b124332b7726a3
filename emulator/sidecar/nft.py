"""Loads rule sets with the program ``nft``, as a whole or not at all."""

from __future__ import annotations

import subprocess

from emulator.errors import StartError

# Modules of the kernel, which it loads by itself where they are not part of it.
NEEDED = "nf_tables, nft_ct, nft_fwd_netdev, nft_reject_inet"


def load(text: str) -> None:
    """Put the rules ``text`` into force; raise ``StartError`` with nft's own words."""
    try:
        done = subprocess.run(
            ["nft", "-f", "-"], input=text, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise StartError(f"cannot run nft: {error.strerror}; install nftables") from error
    if done.returncode:
        needed = f"the node's kernel must have {NEEDED}"
        raise StartError(f"nft does not take the rules: {done.stderr.strip()}; {needed}")
