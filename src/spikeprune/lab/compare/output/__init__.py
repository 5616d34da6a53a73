"""Output of a comparison: page, tables, figures for screen and print."""
