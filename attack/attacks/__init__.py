"""The attacks. Importing this puts them into the list; the order is that of the table."""

# The first one that registers a name says what the attack is, so the order matters.
from attack.attacks import messages as messages  # isort: split

from attack.attacks import values as values  # isort: split

from attack.attacks import references as references  # isort: split

from attack.attacks import calls as calls  # isort: split

from attack.attacks import logins as logins  # isort: split

from attack.attacks import connections as connections  # isort: split

from attack.attacks import on_foolscap as on_foolscap  # isort: split

from attack.attacks import on_pyro as on_pyro
from attack.attacks import on_rpyc as on_rpyc
