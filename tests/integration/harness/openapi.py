"""
An OpenAPI 3.0 document as a client's view of a server: what it says of an answer, and whether the answer is so.

Its schemas let clients be tolerant: members that are not described are allowed. We are not: here none is.
"""
import copy
import json
import pathlib

import jsonschema

SPECIFICATION = pathlib.Path("/usr/share/openapi-specification/schemas/v3.0/schema.json")
METHODS = ("get", "post", "put", "delete", "patch")


def close(value):
    """No structure may have other members than those that are described."""
    if isinstance(value, dict):
        if value.get("type") == "object" and "properties" in value:
            value.setdefault("additionalProperties", False)
        for inner in value.values():
            close(inner)
    elif isinstance(value, list):
        for inner in value:
            close(inner)


class Document:
    def __init__(self, text):
        self.json = json.loads(text)
        self.strict = copy.deepcopy(self.json)
        close(self.strict)
        self.resolver = jsonschema.RefResolver.from_schema(self.strict)

    def check(self):
        """Against the schema of OpenAPI itself; and its schemas are some."""
        jsonschema.Draft4Validator(json.loads(SPECIFICATION.read_text())).validate(self.json)
        for schema in self.json["components"]["schemas"].values():
            jsonschema.Draft4Validator.check_schema(schema)
        names = [operation["operationId"] for _, _, operation in self.operations()]
        assert len(names) == len(set(names)), names

    def operations(self):
        return [(path, method, operation) for path, item in self.json["paths"].items()
                for method, operation in item.items() if method in METHODS]

    def operation(self, path, method):
        return self.strict["paths"][path][method.lower()]

    def _resolve(self, value):
        while "$ref" in value:
            value = self.resolver.resolve(value["$ref"])[1]
        return value

    def response(self, path, method, status):
        responses = self.operation(path, method)["responses"]
        return self._resolve(responses.get(str(status)) or responses["default"])

    def validate(self, value, schema):
        if isinstance(schema, str):
            schema = {"$ref": f"#/components/schemas/{schema}"}
        jsonschema.Draft4Validator(schema, resolver=self.resolver).validate(value)

    def check_answer(self, path, method, status, content_type, body):
        """It has a type that is described for this status, and is so. Returns what it holds."""
        content_type = content_type.partition(";")[0]
        content = self.response(path, method, status)["content"]
        assert content_type in content, f"{method} {path}, {status}: {content_type} is none of {list(content)}: {body!r}"
        value = json.loads(body) if content_type.endswith("json") else body.decode()
        self.validate(value, content[content_type]["schema"])
        return value

    def check_body(self, path, method, value):
        self.validate(value, self.operation(path, method)["requestBody"]["content"]["application/json"]["schema"])

    def check_query(self, path, method, query):
        parameters = {parameter["name"]: parameter for parameter in self.operation(path, method).get("parameters", [])}
        for name, value in query.items():
            self.validate(value, parameters[name]["schema"])
        assert {name for name, parameter in parameters.items() if parameter.get("required")} <= set(query)
