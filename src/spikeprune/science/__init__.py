"""Pure functions of tensors: what to score, what to drop, what to bring back."""
