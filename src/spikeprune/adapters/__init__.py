"""The seam to spiking frameworks, one folder for each; `base` says how to add one."""
