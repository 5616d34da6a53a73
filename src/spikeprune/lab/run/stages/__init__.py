"""The stages of a run that train a net."""
