"""What both sides of the chat share: the room's tag on the wire, and an error."""

import pellucid

TAG = "chat.Room"


class Refused(pellucid.Error):
    """What was asked for can't be had; the text says why."""
