"""Output of a reproduction: page, charts, tables, figures for print."""
