"""kubectl and our kinds, on the API server under test."""

from tests.support.kubectl import kinds, kubectl

__all__ = ["kinds", "kubectl"]
