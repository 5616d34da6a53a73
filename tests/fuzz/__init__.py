"""Random nets, masks, budgets and damaged files against the invariants of the method."""
