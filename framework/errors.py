"""FolioLab's errors. Each says what happened, where, and what to do."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means."""

    GOOD = 0
    COMPARISON_FAILED = 1
    USAGE = 2
    NOTHING_MEASURED = 3
    PLUGIN_FAILED = 4
    UNDECIDED = 5


class FolioLabError(Exception):
    """Root of FolioLab's errors.

    Args:
        what: one sentence: what happened and where.
        hint: what to do about it; empty where nothing can be done.
    """

    exit_code: ExitCode = ExitCode.COMPARISON_FAILED

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  {self.hint}" if self.hint else self.what

    def __reduce__(self) -> tuple[type[FolioLabError], tuple[str, str]]:
        return type(self), (self.what, self.hint)


class UsageError(FolioLabError):
    """The request itself cannot be carried out: a name, a size, a combination."""

    exit_code = ExitCode.USAGE


class ResultFileError(FolioLabError):
    """A result file is damaged, or written by a newer schema."""

    exit_code = ExitCode.USAGE


class NotWritten(ResultFileError):
    """A file that was asked for cannot be written, such as on a full disk."""

    exit_code = ExitCode.COMPARISON_FAILED


class TraceFileError(FolioLabError):
    """A trace file is damaged, is not a trace file, or is written by a newer version; or it cannot be written."""

    exit_code = ExitCode.USAGE


class NoEvents(TraceFileError):
    """What was recorded or read makes no event."""


class NothingMeasured(FolioLabError):
    """A run ended without a single measurement."""

    exit_code = ExitCode.NOTHING_MEASURED


class StoppedEarly(NothingMeasured):
    """A signal ended a run before its first measurement."""


class PluginError(FolioLabError):
    """A policy, workload or other plugin failed; the message names it with its file and line."""

    exit_code = ExitCode.PLUGIN_FAILED


class LayoutError(PluginError):
    """Declared fields do not fit their structs."""


class AccessError(PluginError):
    """Interpreted code touched memory that it may not touch."""


class FieldOverflow(AccessError):
    """A value does not fit the declared width of the field it is stored in."""


class LostLock(AccessError):
    """Interpreted code waits for a lock that no thread is left to release."""


class NativeBuildError(PluginError):
    """A function cannot be turned into native code; the message names the author's file and line."""


class CSourceError(PluginError):
    """C text that cannot become a policy; the message names its file, line and construct."""


class PolicyTextError(PluginError):
    """A policy's text has what no execution allows; the message names the author's file and line."""


class PrimitiveError(FolioLabError):
    """An execution does not know a primitive: FolioLab's own source is incomplete."""


class ModelError(FolioLabError):
    """The modelled kernel was asked for something it would refuse: no memory, no MM ID, no such page."""


class BeyondDeclared(ModelError):
    """More than a policy declares to be made for: MMs, mappings of a folio, or its size. Not the policy's failure."""


class KernelError(FolioLabError):
    """The running kernel cannot be asked: a privilege, a file or a feature is missing, or another run has it."""

    exit_code = ExitCode.NOTHING_MEASURED
