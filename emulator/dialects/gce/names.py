"""Paths of Google's tree."""

from __future__ import annotations

ROOT = "/computeMetadata"
TREE = f"{ROOT}/v1"
GUEST_ATTRIBUTES = f"{TREE}/instance/guest-attributes"
