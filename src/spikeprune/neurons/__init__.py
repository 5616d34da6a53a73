"""IF, LIF and PLIF neurons over all time steps at once: equations and fast bodies.

`lif` has the equations; `multistep` chooses a body, `eager` (blocks) or `compiled` (inductor).
"""
