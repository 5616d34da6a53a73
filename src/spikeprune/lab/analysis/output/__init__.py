"""Output of an analysis: page, figures, sentences, terminal."""
