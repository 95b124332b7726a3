"""Tests; folders mirror those of emulator/."""
