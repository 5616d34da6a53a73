"""SpikingJelly 2.x: its adapter, and the fused and hoisted forms of its modules."""
