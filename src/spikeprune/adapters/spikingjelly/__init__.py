"""SpikingJelly 2.x: its adapter, fused neurons and hoisted layers."""
