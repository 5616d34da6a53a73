"""Runs: configuration, methods by name, run folders, display and report."""
