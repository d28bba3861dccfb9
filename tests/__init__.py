"""The project's own tests, one file per module."""
