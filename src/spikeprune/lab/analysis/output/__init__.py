"""An analysis as a page, in sentences, and in the terminal."""
