"""The instance metadata service that any virtual machine, on any hypervisor, boots from."""

__version__ = "0.1.0"
