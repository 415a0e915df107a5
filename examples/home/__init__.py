"""A reference that goes back to where its object lives."""
