"""IF, LIF and PLIF neurons over all time steps at once: equations and fast bodies.

`lif` has the equations, `multistep` chooses a body: `eager` (plain torch in blocks) or `compiled`
(inductor, by `kernels`). `sinks` says where potentials go while a net is observed. No framework is
named here.
"""
