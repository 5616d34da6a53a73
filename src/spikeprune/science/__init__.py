"""Formulas on tensors: the only room that needs nothing but torch.

Criticality from potentials, surrogate derivatives, saliency and regrowth, allocation and schedules,
exact top-k selection, masks, costs, distillation. No nn.Module, no files, no device names, no
global random numbers: each function can be checked against its paper.
"""
