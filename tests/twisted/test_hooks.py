"""The mark on the hooks that are the face's own."""

from pellucid.twisted.hooks import default, is_default


class Given:
    @default
    def hook(self) -> str:
        return "ours"


class Heir(Given):
    pass


class Own(Given):
    def hook(self) -> str:
        return super().hook() + ", and more"


def test_a_marked_hook_is_the_hook_itself() -> None:
    assert Given().hook() == "ours"


def test_the_mark_is_inherited_with_the_hook() -> None:
    assert is_default(Given.hook)
    assert is_default(Heir.hook)


def test_a_hook_of_the_applications_own_is_not_marked() -> None:
    assert not is_default(Own.hook)
    assert Own().hook() == "ours, and more"


def test_what_is_no_hook_is_not_marked() -> None:
    assert not is_default(None)
    assert not is_default(len)
