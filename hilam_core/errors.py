"""Errors a user can act on: one line with what was wrong, which value, which file, and what to do."""


class HilamError(ValueError):
    """Base of every error that a user can put right; programs print it without a traceback."""


class ConfigError(HilamError):
    """A setting that cannot work, alone or together with the others."""


class DataError(HilamError):
    """A data file that is missing, corrupt, incomplete or does not fit the others."""
