"""Plugins that read the log: a line that one of them takes does not go to standard error."""
