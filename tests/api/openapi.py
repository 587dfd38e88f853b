# SPDX-License-Identifier: Apache-2.0
"""api/openapi.yaml, taken apart: its operations, their examples, and what the schemas allow."""
import copy
import os

import jsonschema
import yaml

from harness import TOP

METHODS = ("get", "put", "patch", "delete")
ANYTHING = (None, "", "x", "\u00e9", "a\tb", "x" * 65, 0, 1, -1, 1.5, True, False, [], [1], {}, {"x": 1})


def load():
    with open(os.path.join(TOP, "api/openapi.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)


DOC = load()
RESOLVER = jsonschema.RefResolver.from_schema(DOC)


def resolve(node):
    """What a $ref stands for, with what stands beside it."""
    while isinstance(node, dict) and "$ref" in node:
        rest = {k: v for k, v in node.items() if k != "$ref"}
        node = {**RESOLVER.resolve(node["$ref"])[1], **rest}
    return node


def valid(schema, value):
    """Whether a value is as the schema says; None is no schema."""
    return jsonschema.Draft202012Validator(schema, resolver=RESOLVER).is_valid(value)


def problems(schema, value):
    """What a schema finds wrong with a value, for people."""
    errors = jsonschema.Draft202012Validator(schema, resolver=RESOLVER).iter_errors(value)
    return [f"{list(e.path)}: {e.message}" for e in errors]


class Operation:
    """A method of a path."""

    def __init__(self, template, method, path_item, item):
        self.template, self.method, self.item = template, method.upper(), item
        self.path = template
        for parameter in path_item.get("parameters", []):
            self.path = self.path.replace(f"{{{parameter['name']}}}", parameter["example"])
        body = resolve(item.get("requestBody"))
        self.body_required = bool(body and body.get("required"))
        self.content = body["content"]["application/json"] if body else None

    def __str__(self):
        return f"{self.method} {self.template}"

    @property
    def absent(self):
        return "absent" in self.item["tags"]

    @property
    def schema(self):
        """That of the body, or None."""
        return self.content and self.content["schema"]

    def examples(self):
        """(name, body, status by state); a body that may be missing once is."""
        answers = self.item.get("x-answers")
        if not self.content:
            return [("", None, answers)]
        found = [(name, e["value"], e.get("x-answers", answers))
                 for name, e in self.content["examples"].items()]
        return found if self.body_required else found + [("nothing", None, answers)]

    def response_schema(self, status):
        """The schema of an answer's body, None for no body."""
        response = resolve(self.item["responses"][str(status)])
        return response["content"]["application/json"]["schema"] if "content" in response else None


def operations():
    return [Operation(path, method, item, item[method])
            for path, item in DOC["paths"].items() for method in METHODS if method in item]


def refs(node):
    """Every $ref of the file."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def candidates(schema, value):
    """Values that may or may not be as the schema says, near its limits and far from them."""
    schema = resolve(schema)
    for part in schema.get("oneOf", []):
        yield from candidates(part, value)
    yield from ANYTHING
    yield from schema.get("enum", [])
    if "const" in schema:
        yield schema["const"]
    for key, step in (("minimum", -1), ("maximum", 1)):
        if key in schema:
            yield from (schema[key], schema[key] + step)
    if "maxLength" in schema:
        yield from ("x" * n for n in (schema["maxLength"], schema["maxLength"] + 1))
    if "properties" in schema:
        yield from variants(schema, value if isinstance(value, dict) else {})


def variants(schema, body):
    """Bodies like this one: a member less, a member more, and members with other values."""
    schema = resolve(schema)
    for name, member in schema["properties"].items():
        yield {k: v for k, v in body.items() if k != name}
        for value in candidates(member, body.get(name)):
            yield {**copy.deepcopy(body), name: value}
    yield {**body, "zzz": 1}
    yield {}
