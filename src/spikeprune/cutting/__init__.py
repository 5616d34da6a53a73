"""From a masked net to a smaller one: dead channels are found, cut, and the cut is proved."""
