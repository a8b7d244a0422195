"""What can go wrong in the lab, said so that the reader knows what to do next.

LabError
├── CannotRun       this machine lacks something (root, network namespaces, a package)
├── CommandFailed   a program we ran ended badly
└── NotUp           no such lab is running
"""


class LabError(Exception):
    """A failure with its remedy: the first sentence says what happened, the second what to do."""


class CannotRun(LabError):
    """This machine cannot run what was asked for."""


class CommandFailed(LabError):
    """A program ended with an error or never became ready."""


class NotUp(LabError):
    """The lab asked for is not running."""
