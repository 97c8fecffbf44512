"""The exception of the simulation."""

from hilam_core.errors import HilamError


class SimError(HilamError):
    """A wrong name, state, action or environment. One line: what, which value, what to do."""
