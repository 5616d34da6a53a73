"""Adapters: the only place that names a spiking framework."""
