"""Plain classes, whose instances travel where both sides' security allows it."""


class Parcel:
    def __init__(self, grams: int) -> None:
        self.grams = grams

    def pounds(self) -> float:
        return self.grams / 500


class Crate:
    """Heavier."""


class Sealed:
    """Says what its state is, and takes it."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __getstate__(self) -> tuple[str, str]:
        return ("sealed", self.secret[::-1])

    def __setstate__(self, state: tuple[str, str]) -> None:
        self.secret = state[1][::-1]
