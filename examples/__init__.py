"""Small programs that show what Pellucid does, each a server and a client."""
