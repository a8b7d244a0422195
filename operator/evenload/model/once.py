"""What is worked out when first asked, and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, overload

Owner = TypeVar("Owner")
Result = TypeVar("Result")


class once(Generic[Owner, Result]):  # noqa: N801  # used like a function, as `property` is
    """`functools.cached_property` without its lock, which Python 3.12 dropped and which costs more than most answers.

    A tick asks thirty of them a Balancer, in one thread.
    """

    def __init__(self, method: Callable[[Owner], Result]) -> None:
        self._method = method
        self._name = method.__name__
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, owner: None, kind: type[Owner]) -> once[Owner, Result]: ...

    @overload
    def __get__(self, owner: Owner, kind: type[Owner]) -> Result: ...

    def __get__(self, owner: Owner | None, kind: type[Owner]) -> once[Owner, Result] | Result:
        if owner is None:
            return self
        result = owner.__dict__[self._name] = self._method(owner)  # found there before this is asked again
        return result
