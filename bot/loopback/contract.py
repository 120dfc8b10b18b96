"""Discord's published OpenAPI description, held against every request and every answer.

The file in `contract/` is https://github.com/discord/discord-api-spec at 74fda0f (MIT, licence beside it). Two
tolerances: a snowflake may come as a JSON integer (Discord takes both), and the tree of field errors is free.
Beyond plain JSON Schema, keys that the description does not know are a violation (`_strays`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SPEC_PATH = Path(__file__).with_name("contract") / "openapi.json"
SPEC_URI = "urn:discord"
ANYTHING: dict[str, Any] = {}
# What Discord documents and its description leaves out; "follow the docs where they differ", says the description.
BESIDE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # https://discord.com/developers/docs/interactions/application-commands#bulk-overwrite-guild-application-commands
    ("ApplicationCommandUpdateRequest", "nsfw", {"type": ["boolean", "null"]}),
    # a deferred answer with `with_response` says its own type:
    # https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-callback-interaction-callback-resource-object
    ("CreateMessageInteractionCallbackResponse", "type", {"type": "integer", "enum": [4, 5]}),
    ("UpdateMessageInteractionCallbackResponse", "type", {"type": "integer", "enum": [6, 7]}),
    # discord.py 2.7.1 sends these with every embed, every edit and every kept attachment; the real service ignores them
    ("RichEmbed", "flags", ANYTHING),
    ("MessageEditRequestPartial", "tts", ANYTHING),
    ("IncomingWebhookUpdateRequestPartial", "tts", ANYTHING),
    ("IncomingWebhookUpdateForInteractionCallbackRequestPartial", "tts", ANYTHING),
    *(
        ("MessageAttachmentRequest", key, ANYTHING)
        for key in ("size", "url", "proxy_url", "width", "height", "content_type", "spoiler", "ephemeral", "flags")
    ),
)
WORDS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One departure from the contract; `path` is dotted, as in `components.0.custom_id`."""

    path: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method on one path template of the contract."""

    method: str
    template: str
    definition: dict[str, Any]
    parameters: tuple[dict[str, Any], ...]


def _type_or_snowflake(validator: Any, types: Any, instance: Any, schema: dict[str, Any]) -> Iterator[Any]:  # noqa: ANN401  # jsonschema hands these over untyped
    if schema.get("format") == "snowflake" and isinstance(instance, int) and not isinstance(instance, bool):
        return
    yield from Draft202012Validator.VALIDATORS["type"](validator, types, instance, schema) or ()


# The contract writes oneOf for alternatives that overlap (every partial update fits `{}`), so any one that fits is enough.
_Validator = extend(
    Draft202012Validator, {"type": _type_or_snowflake, "oneOf": Draft202012Validator.VALIDATORS["anyOf"]}
)


class Contract:
    """The description, ready to be asked."""

    def __init__(self, path: Path = SPEC_PATH) -> None:
        text = (
            path.read_text()
            .replace('"$ref": "#/', f'"$ref": "{SPEC_URI}#/')
            .replace('"$ref":"#/', f'"$ref":"{SPEC_URI}#/')
        )
        self._spec: dict[str, Any] = json.loads(text)
        for schema, key, shape in BESIDE:
            self._spec["components"]["schemas"][schema]["properties"][key] = shape
        resource = Resource(contents=self._spec, specification=DRAFT202012)
        self._registry: Any = Registry().with_resource(SPEC_URI, resource)
        self._validators: dict[int, Any] = {}

    def operation(self, method: str, template: str) -> Operation | None:
        """The contract's operation for a route, or None where it has none."""
        path = self._spec["paths"].get(template, {})
        definition = path.get(method.lower())
        if definition is None:
            return None
        parameters = (*path.get("parameters", ()), *definition.get("parameters", ()))
        return Operation(method=method, template=template, definition=definition, parameters=parameters)

    def knows_path(self, path: str) -> bool:
        """Whether any template of the contract fits a concrete path."""
        return any(pattern.fullmatch(path) for pattern in self._patterns())

    def _patterns(self) -> Iterator[re.Pattern[str]]:
        return (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", t)) for t in self._spec["paths"])

    def request_problems(
        self,
        operation: Operation,
        *,
        query: Mapping[str, str],
        body: Any,  # noqa: ANN401  # any JSON
        files: int = 0,
    ) -> list[Problem]:
        """What is wrong with a request; `files` is how many it carried."""
        problems = list(self._query_problems(operation, query))
        content = operation.definition.get("requestBody", {}).get("content", {})
        if files and "multipart/form-data" not in content:
            problems.append(Problem(path="", message="this route takes no files"))
        schema = content.get("application/json", {}).get("schema")
        if schema is None:
            if body not in (None, {}):
                problems.append(Problem(path="", message="this route takes no body"))
        elif body is not None or operation.definition["requestBody"].get("required"):
            problems += self.problems(schema, body)
        return problems

    def _query_problems(self, operation: Operation, query: Mapping[str, str]) -> Iterator[Problem]:
        known = {p["name"]: p for p in operation.parameters if p["in"] == "query"}
        for name, value in query.items():
            if name not in known:
                yield Problem(path=name, message="unknown query parameter")
                continue
            schema = known[name]["schema"]
            yield from (Problem(path=name, message=p.message) for p in self.problems(schema, self._read(schema, value)))
        for name, parameter in known.items():
            if parameter.get("required") and name not in query:
                yield Problem(path=name, message="this query parameter is required")

    def _read(self, schema: dict[str, Any], text: str) -> Any:  # noqa: ANN401  # any JSON
        schema = self._resolve(schema)
        kind = schema.get("type") or self._resolve(schema.get("oneOf", [{}])[0]).get("type")
        kinds = kind if isinstance(kind, list) else [kind]
        if "boolean" in kinds:
            return WORDS.get(text.lower(), text)
        if "integer" in kinds or any(isinstance(b.get("const"), int) for b in schema.get("oneOf", ())):
            return int(text) if text.lstrip("-").isdigit() else text
        return text

    def reply_problems(self, operation: Operation, *, status: int, body: Any) -> list[Problem]:  # noqa: ANN401
        """What is wrong with an answer of this server."""
        responses = operation.definition["responses"]
        found = responses.get(str(status)) or responses.get(f"{status // 100}XX")
        if found is None:
            return [Problem(path="", message=f"the contract has no status {status} here")]
        schema = self._resolve(found).get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            return [Problem(path="", message="this status carries no body")] if body is not None else []
        if status >= 400 and isinstance(body, dict):  # the class of errors
            body = {k: v for k, v in body.items() if k != "errors"}
        return self.problems(schema, body)

    def part_problems(self, schema_name: str, value: Any) -> list[Problem]:  # noqa: ANN401
        """What is wrong with a part of a gateway event, measured by the schema of the same object over HTTP."""
        return self.problems({"$ref": f"{SPEC_URI}#/components/schemas/{schema_name}"}, value)

    def problems(self, schema: dict[str, Any], value: Any) -> list[Problem]:  # noqa: ANN401
        """Schema errors, and unknown keys when there are none."""
        errors = self._validator(schema).iter_errors(value)
        found = [Problem(path=_dotted(e.absolute_path), message=_said(e)) for e in map(_telling, errors)]
        return found or list(self._strays(schema, value, ""))

    def _validator(self, schema: dict[str, Any]) -> Any:  # noqa: ANN401  # jsonschema is untyped here
        if schema.keys() == {"$ref"}:
            schema = self._resolve(schema)
        key = id(schema)
        if key not in self._validators:
            self._validators[key] = (schema, _Validator(schema, registry=self._registry))  # keeps the id taken
        return self._validators[key][1]

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            node: Any = self._spec
            for part in schema["$ref"].removeprefix(f"{SPEC_URI}#/").split("/"):
                node = node[part.replace("~1", "/").replace("~0", "~")]
            schema = node
        return schema

    def _strays(self, schema: dict[str, Any], value: Any, path: str) -> Iterator[Problem]:  # noqa: ANN401
        schema = self._resolve(schema)
        branches = schema.get("oneOf") or schema.get("anyOf")
        if branches:
            fitting = (b for b in branches if self._validator(b).is_valid(value))
            yield from min((list(self._strays(b, value, path)) for b in fitting), key=len, default=[])
        elif isinstance(value, list) and "items" in schema:
            for index, item in enumerate(value):
                yield from self._strays(schema["items"], item, f"{path}.{index}")
        elif isinstance(value, dict):
            yield from self._stray_keys(schema, value, path)

    def _stray_keys(self, schema: dict[str, Any], value: dict[str, Any], path: str) -> Iterator[Problem]:
        known = self._properties(schema)
        extra = schema.get("additionalProperties")
        for key, item in value.items():
            here = f"{path}.{key}".lstrip(".")
            if key in known:
                yield from self._strays(known[key], item, here)
            elif isinstance(extra, dict):
                yield from self._strays(extra, item, here)
            elif known and extra is not True:
                yield Problem(path=here, message="the contract does not know this key")

    def _properties(self, schema: dict[str, Any]) -> dict[str, Any]:
        known = dict(schema.get("properties", {}))
        for part in schema.get("allOf", ()):
            known |= self._properties(self._resolve(part))
        return known


@cache
def published() -> Contract:
    """The contract, read once in a process: it takes a fifth of a second."""
    return Contract()


def _telling(error: Any) -> Any:  # noqa: ANN401  # jsonschema is untyped here
    """Of alternatives that did not fit, the complaint of the one that was meant: its `type` is right."""
    while error.context:
        branches: dict[Any, list[Any]] = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        meant = [b for b in branches.values() if not any(_wrong_type(e) for e in b)] or list(branches.values())
        error = min(meant, key=len)[0]
    return error


def _wrong_type(error: Any) -> bool:  # noqa: ANN401
    return bool(error.path) and error.path[-1] == "type" and len(error.path) == 1


def _said(error: Any) -> str:  # noqa: ANN401
    if error.validator in {"maxLength", "minLength", "maxItems", "minItems", "maximum", "minimum", "pattern"}:
        return f"must keep {error.validator} {error.validator_value}"
    return str(error.message)[:300]


def _dotted(path: Any) -> str:  # noqa: ANN401
    return ".".join(str(part) for part in path)
