"""A Target with `unless_listed`: what the provider lists passes through, any other name becomes its default."""

from __future__ import annotations

from clock import eventually
from gateway import config_text, openai_backend
from http_client import chat, chat_body


def test_a_listed_name_passes_through_and_any_other_becomes_the_default(gateway, upstream):
    route = {"model": "*", "targets": [{"backend": "a", "model": "the-default", "unless_listed": True}]}
    served = gateway(config_text([openai_backend("a", upstream.port)], [route]))

    def asked_for(name: str) -> str:
        assert chat(served.port, chat_body(model=name)).status == 200
        return [one for one in upstream.requests if one.method == "POST"][-1].json["model"]

    # The scripted upstream lists "fake-model".
    eventually("the list has come", lambda: asked_for("fake-model") == "fake-model", 5)
    assert asked_for("some-other") == "the-default"
