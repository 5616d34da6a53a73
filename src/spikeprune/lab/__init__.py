"""Experiments: everything around a whole run.

`settings` is the configuration, `run` does it, `report` shows it; `search`, `analysis`, `compare`
and `reproduce` work on many runs. `run_folder` names all files.
"""
