"""Loads the plugin of the suites; an installed copy of dps loads it by name."""

pytest_plugins = ["dps.plugin"]
