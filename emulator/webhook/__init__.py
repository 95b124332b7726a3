"""The admission webhooks: what a VM's annotations become in Kubernetes and KubeVirt."""
