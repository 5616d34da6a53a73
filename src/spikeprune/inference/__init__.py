"""The finished net in use: `saved_net` loads it, `event_driven` skips its dead weights."""
