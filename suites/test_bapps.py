"""The name of ``test_judgments.py`` before there were judgments other than BAPPS: it runs that file."""
