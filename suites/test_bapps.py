"""An alias: naming this file runs ``test_judgments.py``."""
