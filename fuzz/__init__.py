"""Fuzzing: bytes that a stranger might send, and one sentence that has to hold for all of them.

Whatever arrives is accepted, or refused with a documented error, within the budget.
"""
