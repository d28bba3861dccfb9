"""Figures that take minutes and a quiet machine: run by hand, never by pytest."""
