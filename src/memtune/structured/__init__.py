"""Replies that follow a JSON schema: valid by construction, with facts said inside their fields.

`schema.py` says which schemas can be followed, `scanner.py` where in a JSON text a reply stands, `filling.py` how a
fact's answer is written into a field, and `constraint.py` what may be said next.
"""

from memtune.structured.constraint import Constraints, Filling, Finder
from memtune.structured.filling import places
from memtune.structured.schema import ANY_OBJECT, Field, Form, form_of, schema_of, typed

__all__ = [
    "ANY_OBJECT",
    "Constraints",
    "Field",
    "Filling",
    "Finder",
    "Form",
    "form_of",
    "places",
    "schema_of",
    "typed",
]
