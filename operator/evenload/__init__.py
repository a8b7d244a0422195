"""Evenload keeps the servers behind a Kubernetes load balancer evenly loaded, and mends it when they are not."""

__version__ = "0.1.0"
