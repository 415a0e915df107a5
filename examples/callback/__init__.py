"""An object of the client's that the server calls."""
