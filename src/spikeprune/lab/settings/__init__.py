"""The configuration of a run: fields, flags, YAML, recipes, and the method it chooses.

`config` has the fields, `flags` makes command-line options of them, `yaml_values` reads and writes
them, `method_choice` and `imp_rounds` say what they mean for pruning.
"""
