"""The server beside a virtual machine in its pod: lays the cable to the guest, then serves.

It starts as root with the right to change the pod's network, waits for KubeVirt to make the
machine's bridge, plumbs, binds the sockets, gives up every privilege and becomes ``serve``.
"""
