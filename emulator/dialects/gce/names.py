"""Paths of Google's tree, and what the names of attributes are made of."""

from __future__ import annotations

ROOT = "/computeMetadata"
TREE = f"{ROOT}/v1"
GUEST_ATTRIBUTES = f"{TREE}/instance/guest-attributes"
ACCOUNTS = f"{TREE}/instance/service-accounts"

KEY = "[A-Za-z0-9_-]{1,128}"
"""A regular expression."""
