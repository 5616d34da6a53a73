"""Progress of a run: rows in its history, TensorBoard, and the terminal.

`tracker` writes every epoch and event, `display` shows them.
"""
