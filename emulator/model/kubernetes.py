"""How Kubernetes spells names: patterns without anchors, which Helm's RE2 reads too.

They are those of its API server (apimachinery, pkg/util/validation).
"""

from __future__ import annotations

LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""A namespace's name, or a host's without its domain."""

SUBDOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
"""Most other objects' names, of at most ``LONGEST`` characters."""

KEY = r"([A-Za-z0-9_-]|\.[A-Za-z0-9_-])[A-Za-z0-9._-]*"
"""What is in a Secret or ConfigMap, of at most ``LONGEST`` characters; no ``.``, nor ``..x``."""

LONGEST = 253
