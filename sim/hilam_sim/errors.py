"""The one exception the simulation raises for anything a user can put right."""


class SimError(ValueError):
    """A wrong name, state, action or environment. One line: what, which value, what to do."""
