"""The report of a run: one HTML page, and the same in a terminal.

`run_record` reads a run folder, `summary` makes facts and tables, `figures` the Plotly figures,
`report` the page; `number_words`, `markdown`, `html` and `plotly_parts` serve other pages as well.
"""
