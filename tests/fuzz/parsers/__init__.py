"""Damaged and hostile files: a parser answers with a result or a SpikePruneError.

`targets.py` is the table of parsers, `search.py` looks for inputs that a parser fails on, guided by
coverage, and `corpus/` keeps inputs that reach different lines; the tests read all of them again.
"""
