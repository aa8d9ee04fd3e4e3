"""Checks the examples of an OpenAPI document against their schemas."""

import jsonschema_rs


def check_examples(document):
    """Checks every example. Returns their number.

    Raises AssertionError for those that do not fit.
    """
    found = list(_examples(document, "#"))
    wrong = []
    for place, schema, value in found:
        # The whole document, so that its references can be followed.
        validator = jsonschema_rs.Draft202012Validator({**document, "$ref": schema})
        wrong += [f"{place}: {error}" for error in validator.iter_errors(value)]
    assert not wrong, "\n".join(wrong)
    return len(found)


def _examples(node, place):
    """Yields the place, the reference of the schema, and the value of all examples of bodies, parameters and headers."""
    if isinstance(node, list):
        for index, inner in enumerate(node):
            yield from _examples(inner, f"{place}/{index}")
    if not isinstance(node, dict):
        return
    if "schema" in node:
        values = {"example": node["example"]} if "example" in node else {}
        values |= {name: named["value"] for name, named in node.get("examples", {}).items()}
        for name, value in values.items():
            yield f"{place}: {name}", f"{place}/schema", value
    for name, inner in node.items():
        if name not in ("example", "examples", "schema", "schemas"):
            yield from _examples(inner, f"{place}/{name.replace('~', '~0').replace('/', '~1').replace('{', '%7B').replace('}', '%7D')}")
