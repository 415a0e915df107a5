"""One object, one method, one answer."""
