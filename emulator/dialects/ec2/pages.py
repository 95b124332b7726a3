"""How EC2 refuses: a small page for each status (contract 3.4), which nobody parses."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from msgspec.structs import replace

from emulator.core.message import Reply
from emulator.core.policy import DEFAULTS
from emulator.core.refusal import Refusal

_PAGE = """\
<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{title}</title>
 </head>
 <body>
  <h1>{title}</h1>
 </body>
</html>
"""


def page(status: int) -> Reply:
    """Give the page of ``status``."""
    title = f"{status} - {HTTPStatus(status).phrase}"
    return Reply(status, _PAGE.format(title=title).encode(), "text/html")


PAGES: Mapping[Refusal, Reply] = {
    refusal: replace(page(reply.status), headers=reply.headers)
    for refusal, reply in DEFAULTS.items()
}
