"""Data on disk, a file for each format; `images` and `recordings` decode them."""
