"""Training in several processes: launch, collectives, data parallelism."""
