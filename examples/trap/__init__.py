"""Four calls: one that works, and three that fail each in its own way."""
