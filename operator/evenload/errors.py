"""Exceptions, sorted by whose fault it is and so by what the caller should do next.

Decisions are values, never exceptions: a held action is a `Held`, not a raise.

    EvenloadError
    ├── InputError               a person's input is wrong: says which field, and the fix
    │   └── RecordingError       a recording: names the line and the field
    ├── KubeError                the API server's side
    │   ├── Refused              it said no (400, 403, 422 ...): asking again will not help
    │   │   ├── NotFound         404: the object is gone
    │   │   ├── Conflict         409, or a JSON patch `test` that failed: another writer got there first
    │   │   ├── DisruptionRefused  429 with cause DisruptionBudget: a decision, not throttling
    │   │   └── InvalidName      an InputError too: the name fits into no URL, so the server was not even asked
    │   ├── Gone                 410: the watch's resourceVersion is too old; list again
    │   ├── Unavailable          nothing happened (refused connection, 429, 500 ... on a read): retry later
    │   └── Unknown              a write was sent and no answer came: read before you retry
    ├── SignalsUnavailable       Prometheus did not answer, or not with numbers
    └── InvariantBroken          ours: a bug, with what was expected
"""

from __future__ import annotations


class EvenloadError(Exception):
    """The root of everything this package raises on purpose."""


class InputError(EvenloadError):
    """A person's input is wrong. The message names the field and the fix."""


class RecordingError(InputError):
    """A recording cannot be read. The message names the line and the field."""


class KubeError(EvenloadError):
    """The API server refused, failed, or could not be reached."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class Refused(KubeError):
    """The API server understood and said no."""


class NotFound(Refused):
    """The object is not there (any more)."""


class Conflict(Refused):
    """Another writer got there first."""


class DisruptionRefused(Refused):
    """A PodDisruptionBudget does not allow this eviction now."""


class InvalidName(Refused, InputError, ValueError):
    """A name that no object can have. Whoever asks about objects handles it like any other refusal."""


class Gone(KubeError):
    """The watch's resourceVersion is too old: list again."""


class Unavailable(KubeError):
    """Nothing was changed; the same call may work later."""


class Unknown(KubeError):
    """A write may or may not have landed: read before trying again."""


class SignalsUnavailable(EvenloadError):
    """Prometheus did not answer in time, or not with numbers."""


class InvariantBroken(EvenloadError):
    """A bug of ours: something that cannot be, is."""
