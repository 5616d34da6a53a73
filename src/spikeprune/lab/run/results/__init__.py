"""What a finished run measures and writes."""
