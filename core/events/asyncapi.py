"""The AsyncAPI 3.0 document: what is published where, by whom it is received, and its schemas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from core.events.event import Event, module_of
from core.events.subscription import Broadcast, Subscription

if TYPE_CHECKING:
    from core.events.catalog import EventCatalog
    from core.registry import Module, Registry
    from core.settings import KafkaSettings, Settings

Document = dict[str, Any]
BINDING = "0.5.0"
"""The version of AsyncAPI's Kafka binding."""
INTRO = (
    "What the enabled modules publish and who of them receives it. Messages are CloudEvents 1.0 "
    "in binary mode; the key is the aggregate's id, and messages of one key keep their order."
)


def asyncapi(registry: Registry, catalog: EventCatalog, settings: Settings) -> Document:
    """The document of the enabled modules; those that are disabled leave no trace in it."""
    publishers = {m.id: m.declared.events for m in registry.enabled if m.declared.events}
    schemas: Document = {}
    messages = {
        event.event_type: _message(event, schemas)
        for events in publishers.values()
        for event in events
    }
    operations = {
        **{f"{name}.send": _send(name, events) for name, events in publishers.items()},
        **dict(_receivers(registry, catalog, messages, settings.kafka)),
    }
    document: Document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"{settings.app.name} events",
            "version": _version(),
            "description": INTRO if _on(settings.kafka) else f"{INTRO} {EMBEDDED}",
        },
        "defaultContentType": "application/json",
        "channels": {
            name: _channel(name, events, settings.kafka) for name, events in publishers.items()
        },
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }
    if _on(settings.kafka):
        document["servers"] = dict(_servers(settings.kafka))
    return document


EMBEDDED = "No broker is configured: they travel through the database, under these names."


def _version() -> str:
    from core import __version__

    return __version__


def _on(kafka: KafkaSettings) -> bool:
    return bool(kafka.bootstrap_servers)


def _servers(kafka: KafkaSettings) -> Iterator[tuple[str, Document]]:
    secure = kafka.security_protocol != "PLAINTEXT"
    for number, host in enumerate(kafka.bootstrap_servers.split(","), 1):
        protocol = "kafka-secure" if secure else "kafka"
        yield f"kafka{number}", {"host": host.strip(), "protocol": protocol}


def _channel(module: str, events: Sequence[type[Event]], kafka: KafkaSettings) -> Document:
    """A module's topic."""
    topic = f"{kafka.topic_prefix}.{module}"
    channel: Document = {
        "address": topic,
        "title": f"What happens in {module}",
        "messages": {it.event_type: _ref("components", "messages", it.event_type) for it in events},
    }
    if _on(kafka):
        channel["bindings"] = {"kafka": {"topic": topic, "bindingVersion": BINDING}}
    return channel


def _send(module: str, events: Sequence[type[Event]]) -> Document:
    return {
        "action": "send",
        "title": f"{module} publishes",
        "channel": _ref("channels", module),
        "messages": [_of_channel(it.event_type) for it in events],
    }


def _receivers(
    registry: Registry, catalog: EventCatalog, messages: Document, kafka: KafkaSettings
) -> Iterator[tuple[str, Document]]:
    """An operation for each subscribing group and each module from which it receives."""
    for module in registry.enabled:
        for kind, verb in ((Subscription, "receive"), (Broadcast, "hear")):
            wanted = _wanted(module, kind, catalog) & messages.keys()
            for publisher in sorted(set(map(module_of, wanted))):
                types = sorted(it for it in wanted if it.startswith(f"{publisher}."))
                received = _receive(module.id, publisher, types)
                if kind is Broadcast:
                    received["description"] = "In every process, and by whoever runs at the time."
                elif _on(kafka):
                    group = {"type": "string", "enum": [f"{kafka.topic_prefix}.{module.id}"]}
                    received["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
                yield f"{module.id}.{verb}.{publisher}", received


def _wanted(module: Module, kind: type[Any], catalog: EventCatalog) -> set[str]:
    """Every stored type that a module's subscriptions are given, older versions too."""
    subscribed = [it for it in module.declared.subscriptions if isinstance(it, kind)]
    return {name for it in subscribed for name in catalog.sources(it.event.event_type)}


def _receive(module: str, publisher: str, types: Sequence[str]) -> Document:
    return {
        "action": "receive",
        "title": f"{module} receives from {publisher}",
        "channel": _ref("channels", publisher),
        "messages": [_of_channel(it) for it in types],
    }


def _of_channel(event_type: str) -> Document:
    """An operation's message, which AsyncAPI wants referred to by way of its channel."""
    return _ref("channels", module_of(event_type), "messages", event_type)


def _ref(*parts: str) -> Document:
    return {"$ref": "#/" + "/".join(parts)}


def _message(event: type[Event], schemas: Document) -> Document:
    """A message; the models within its payload go into `schemas`."""
    own = f"{event.event_type}."
    payload = event.model_json_schema(ref_template=f"#/components/schemas/{own}{{model}}")
    schemas |= {f"{own}{name}": it for name, it in payload.pop("$defs", {}).items()}
    key = payload.get("properties", {}).get(event.key_field, {})
    return {
        "name": event.event_type,
        "title": event.__name__,
        "summary": " ".join((event.__doc__ or "").split()),
        "contentType": "application/json",
        "headers": _headers(event),
        "payload": payload,
        "bindings": {"kafka": {"key": _key(event, key), "bindingVersion": BINDING}},
    }


def _key(event: type[Event], field: Document) -> Document:
    found = {"type": "string", "description": f"{event.key_field} of {event.aggregate}, as text"}
    return found | ({"examples": ["42"]} if field.get("type") == "integer" else {})


def _headers(event: type[Event]) -> Document:
    """CloudEvents' attributes, each a Kafka header."""
    text: Document = {"type": "string"}
    properties: Document = {
        "ce_specversion": {**text, "const": "1.0"},
        "ce_id": {**text, "format": "uuid", "description": "the same however often it is sent"},
        "ce_source": {**text, "const": f"/tessera/{event.event_module}"},
        "ce_type": {**text, "const": event.event_type},
        "ce_time": {**text, "format": "date-time", "description": "when it was recorded"},
        "ce_subject": {**text, "description": f"the {event.aggregate}'s id"},
        "ce_sequence": {**text, "description": f"the {event.aggregate}'s version; it only grows"},
        "ce_aggregatetype": {**text, "const": f"{event.event_module}.{event.aggregate}"},
        "content-type": {**text, "const": "application/json"},
        "traceparent": {**text, "description": "W3C trace context of the request it came from"},
    }
    required = [name for name in properties if name != "traceparent"]
    return {"type": "object", "properties": properties, "required": required}
