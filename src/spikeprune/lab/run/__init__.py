"""One run from configuration to report.

`check` and `preflight` refuse it early, `session` makes it concrete (data, device, net), `run` goes
through the stages; `dense_net` shares the dense net between runs, `plan` says what a run would
cost.
"""
