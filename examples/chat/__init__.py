"""A chat: members who log in, a room that all of them watch, and whispers to one of them."""
