"""Boots a stock disk image in QEMU beside the server and says what came of it."""
