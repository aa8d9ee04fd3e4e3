"""Compares JSON with a shape.

    type            a value of this type; a boolean is no number
    set             one of these values
    re.Pattern      a string that matches as a whole
    range           an integer within
    [shape]         a list of at least one item, each with this shape
    {name: shape}   an object with these members and no others; a name that ends with `?` is optional
    (shape, shape)  a value with one of these shapes
    ...             any value
"""

import re


def mismatch(value, shape, where="body"):
    """Returns a description of the first mismatch between a value and a shape, or None. `where` is the path of the value."""
    wrong = f"{where}: {str(value)[:80]!r} is not {shape}"
    if shape is ...:
        return None
    if isinstance(shape, tuple):
        found = [mismatch(value, one, where) for one in shape]
        return None if None in found else "; ".join(found)
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return wrong
        return next(filter(None, (mismatch(item, shape[0], f"{where}[{i}]") for i, item in enumerate(value))), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return wrong
        missing = [name for name in shape if not name.endswith("?") and name not in value]
        unknown = [name for name in value if name not in shape and f"{name}?" not in shape]
        if missing or unknown:
            return f"{where}: missing {missing}, unknown {unknown}"
        members = ((name, member, shape.get(name, shape.get(f"{name}?"))) for name, member in value.items())
        return next(filter(None, (mismatch(member, inner, f"{where}.{name}") for name, member, inner in members)), None)
    if isinstance(shape, (set, range)):
        return None if type(value) in (str, int, bool) and value in shape else wrong
    if isinstance(shape, re.Pattern):
        return None if isinstance(value, str) and shape.fullmatch(value) else wrong
    return None if isinstance(value, shape) and (shape is bool or not isinstance(value, bool)) else wrong
