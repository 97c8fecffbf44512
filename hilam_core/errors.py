"""Errors a user can act on: one line with what was wrong, which value, which file, and what to do.

`HilamError` is the one root: programs, nodes and launch files print it as one line, without a traceback.
"""


class HilamError(Exception):
    """Base of every error that a user can put right.

    Not a ValueError, which the parser of command lines would take for its own and print at length.
    """


class ConfigError(HilamError):
    """A setting that cannot work, alone or together with the others."""


class DataError(HilamError):
    """A data file that is missing, corrupt, incomplete or does not fit the others."""


class FileError(HilamError):
    """A file or folder that cannot be made or written: a full disk, a read-only folder, no permission."""


class CheckpointError(HilamError):
    """A checkpoint that is missing, damaged, or made for something else."""
