"""A method that returns another object to call."""
