"""Membrane potentials in, criticality and firing rates out."""
