"""Signs what a machine can prove its identity with, and gives what verifiers need."""

from emulator.signing.signer import Signer

__all__ = ["Signer"]
