"""What every value in the model has in common."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A frozen value (each class says frozen and kw_only again: type checkers and msgspec ask for it); camelCase
    outside (recordings, Kubernetes), snake_case inside; absent keys are defaults."""
