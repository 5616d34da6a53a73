"""The results of a comparison: tables, figures, documents, the HTML page, terminal output."""
