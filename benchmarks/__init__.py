"""What is hot, timed against a named alternative in the same run. Nothing here is asserted on."""
