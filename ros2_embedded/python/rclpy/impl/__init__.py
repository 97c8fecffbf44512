"""Names that some programs import from here."""
