"""From a fresh checkout to the running thing: ``python3 -m emulator.setup demo`` or ``test``.

Runs on Debian and Ubuntu with nothing but git and Python: no pip, no venv module, none of the
project's dependencies. So these modules import the standard library and each other, nothing else.
"""
