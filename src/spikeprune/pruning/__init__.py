"""The pruner, its options and methods, the criteria, the events and the choice at an event."""
