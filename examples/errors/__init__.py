"""An exception that is expected, and one that is not."""
