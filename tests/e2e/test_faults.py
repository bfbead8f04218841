"""Every fault that the simulated provider knows, through the gateway: once streaming, once not. The client gets the answer
that the provider would have given, byte for byte, and what came before the fault came live."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from clock import slow
from gateway import binary, config_text, openai_backend, timeouts
from http_client import Connection, chat, chat_body, open_stream, stream_chat
from simulated import Simulated, streams

pytestmark = pytest.mark.sanitized
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
FAULTS = [line.split()[0] for line in
          subprocess.run([str(binary()), "simulate", "--faults"], capture_output=True, text=True).stdout.splitlines()] if binary().exists() else []
FAULTS += ["400", "401", "404", "408", "413", "422", "429", "500", "502", "529"]
# What is the client's own fault goes to the client.
PASSED = {"400": 400, "413": 413, "422": 422, "early_413": 413}
# Nothing is wrong with these: the first provider's own answer is the client's.
HARMLESS = {"no_done", "crlf", "multi_line", "big_event"}
# They strike only who is asked to go on.
CONTINUING = {"refuse_prefix", "echo_prefix", "repeat_words", "other_words", "fold_space"}




@pytest.fixture
def simulate(tmp_path):
    """simulate(script=…, **profile) → a running Simulated."""
    started: list[Simulated] = []

    def start(*arguments: str, **profile) -> Simulated:
        started.append(Simulated(tmp_path / f"simulated-{len(started)}", profile, arguments))
        return started[-1]
    yield start
    for one in started:
        one.stop()


def ask(port: int, streamed: bool, **more):
    """(text, tool calls, the answer) of one question, as a client reads it."""
    body = chat_body("Why is the sky blue?", **{"stream": streamed, **more})
    if not streamed:
        got = chat(port, body, timeout=slow(10))
        message = got.json["choices"][0]["message"] if got.status == 200 else {}
        return message.get("content"), [call["function"] for call in message.get("tool_calls", [])], got
    got = stream_chat(port, body, timeout=slow(10))
    calls: dict[int, dict] = {}
    for part in got.chunks:
        for call in (part["choices"][0]["delta"].get("tool_calls") or []) if part.get("choices") else []:
            known = calls.setdefault(call["index"], {"name": call["function"].get("name"), "arguments": ""})
            known["arguments"] += call["function"]["arguments"]
    return got.text, list(calls.values()), got


def whole(got, streamed: bool) -> None:
    if streamed:
        assert got.torn is None and got.errors == [], got.errors
        assert len(got.roles) == 1 and len(got.finish_reasons) == 1 and got.done == 1
        assert len({part["id"] for part in got.chunks}) == 1
    else:
        assert got.status == 200, got.body


def served_by(gateway, *ports: int, waits=(0.6, 0.4), **more):
    return gateway(config_text([openai_backend(name, port, **more) for name, port in zip("abcd", ports)],
                               defaults=timeouts(*waits), breaker={"on": False}))


both = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
FORMS = ["prefix", "partial", "prefix_field", "continue_final_message", "assistant", "ask", "replay"]


class House:
    """One gateway with a Route for each fault and for each form, and the providers behind it."""

    def __init__(self, folder: Path, gateways):
        profile = {"tool_calls": 2, "reasoning_tokens": 4}
        self.all = []

        def start(**more) -> Simulated:
            self.all.append(Simulated(folder / f"simulated-{len(self.all)}", {**profile, **more}))
            return self.all[-1]
        self.first, self.good = start(), start(model="simulated-2")
        nobody = start(resume=[])
        known = {form: start(resume=[form]) if form not in ("ask", "replay") else nobody for form in FORMS}
        backends = [openai_backend("first", self.first.port), openai_backend("good", self.good.port)]
        backends += [openai_backend(f"knows-{form}", one.port, resume=form) for form, one in known.items()]
        backends += [openai_backend(f"refuses-{form}", nobody.port, resume=form) for form in FORMS]
        asked = {"retries": 0}
        routes = [{"model": fault, "targets": [{"backend": "first", "model": f"fault:{fault}" + ("@0.2" if fault == "trickle" else "")},
                                                {"backend": "good"}], **asked} for fault in FAULTS]
        routes[FAULTS.index("trickle")]["min_tokens_per_second"] = 20
        routes += [{"model": f"{how}-{form}", "targets": [{"backend": "first", "model": "fault:cut_in_word"}, {"backend": f"{how}-{form}"}], **asked}
                   for form in FORMS for how in ("knows", "refuses")]
        routes += [{"model": f"{broken}+{fault}", "targets": [{"backend": "first", "model": f"fault:{broken}"}, {"backend": "first", "model": f"fault:{fault}"},
                                                              {"backend": "good"}], **asked} for broken in ("reset", "cut_in_word") for fault in CONTINUING]
        self.expected = {(streamed, with_tools): ask(self.good.port, streamed, **({"tools": TOOLS} if with_tools else {}))[:2]
                         for streamed in (False, True) for with_tools in (False, True)}
        self.port = gateways(config_text(backends, routes, defaults=timeouts(0.5, 0.3), breaker={"on": False})).port
        self.of_form = {**{("knows", form): one for form, one in known.items()}, **{("refuses", form): nobody for form in FORMS}}

    def stop(self) -> None:
        for one in self.all:
            one.stop()


@pytest.fixture(scope="module")
def house(module_gateway, tmp_path_factory):
    house = House(tmp_path_factory.mktemp("simulated"), module_gateway)
    yield house
    house.stop()


@both
@pytest.mark.parametrize("fault", sorted(set(FAULTS) - CONTINUING - {"early_413", "early_429"}))
def test_the_answer_survives(house, fault, streamed):
    tools = {"tools": TOOLS} if "call" in fault else {}
    before = house.first.stats["requests"], house.good.stats["requests"]
    if fault in PASSED:
        assert chat(house.port, chat_body(model=fault, stream=streamed)).status == PASSED[fault]
        assert house.good.stats["requests"] == before[1]
        return
    text, calls, got = ask(house.port, streamed, model=fault, **tools)
    whole(got, streamed)
    assert (text, calls) == house.expected[streamed, bool(tools)]
    # A kept connection that closes without a word may have been dead: then it is asked once more.
    assert house.first.stats["requests"] - before[0] in ((1, 2) if fault in ("closed", "refused") else (1,))
    assert house.good.stats["requests"] == before[1] + (0 if fault in HARMLESS else 1)


@both
@pytest.mark.parametrize("fault", ["early_413", "early_429"])
def test_a_refusal_before_the_body_has_come(gateway, simulate, fault, streamed):
    first, second = simulate("--script", fault), simulate()
    served = served_by(gateway, first.port, second.port, waits=(4, 1))
    got = chat(served.port, chat_body("x" * 3_000_000, stream=streamed))
    assert got.status == (413 if fault == "early_413" else 200)
    assert got.header("x-spillway-backend") == ("a" if fault == "early_413" else "b")


@pytest.mark.parametrize("fault", ["reset", "end", "stall", "error_event", "bad_json", "bad_chunk", "cut_in_character", "cut_in_word", "cut_in_field"])
def test_what_came_before_the_fault_came_live(gateway, simulate, fault):
    slow_one = {"tokens_per_second": 100, "tokens": 40}
    first = simulate(script=["it"], fault=[{"name": "it", "kind": fault, "at": 0.5}], **slow_one)
    second = simulate(**slow_one)
    expected, _, _ = ask(second.port, True)
    served = served_by(gateway, first.port, second.port)
    with Connection(served.port, timeout=slow(10)) as connection:
        reader = open_stream(connection, chat_body("Why is the sky blue?", stream=True))
        while '"content":"' not in reader.next():
            pass
        assert second.stats["requests"] == 1                     # nobody had to help yet
        assert reader.rest().text == expected and second.stats["requests"] == 2


@both
@pytest.mark.parametrize("fault", sorted(CONTINUING))
@pytest.mark.parametrize("broken", ["reset", "cut_in_word"])
def test_one_that_goes_on_in_a_wrong_way_is_never_spliced_on(house, fault, broken, streamed):
    text, _, got = ask(house.port, streamed, model=f"{broken}+{fault}")
    whole(got, streamed)
    assert text == house.expected[streamed, False][0]


@both
def test_the_second_and_the_third_leg_break_too(gateway, simulate, streamed):
    breaks = [simulate(script=["it"], tokens=80, fault=[{"name": "it", "kind": kind, "at": at}])
              for kind, at in (("cut_in_word", 0.3), ("stall", 0.4), ("error_event", 0.5))]
    good = simulate(tokens=80)
    expected, _, _ = ask(good.port, streamed)
    served = served_by(gateway, *(one.port for one in breaks), good.port)
    text, _, got = ask(served.port, streamed)
    whole(got, streamed)
    assert text == expected and good.stats["requests"] == 2


@both
@pytest.mark.parametrize("how", ["knows", "refuses"])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_against_one_that_insists_on_it_and_one_that_answers_400_to_all(house, form, how, streamed):
    one = house.of_form[how, form]
    text, _, got = ask(house.port, streamed, model=f"{how}-{form}")
    whole(got, streamed)
    assert text == house.expected[streamed, False][0]
    if how == "knows" and streamed:
        assert one.requests[-1]["form"] == ("" if form == "replay" else form)


# --- many at once ------------------------------------------------------------------------------------------------

KINDS = ["reset", "end", "stall", "error_event", "bad_json", "bad_chunk", "cut_in_character", "cut_in_word", "cut_in_field", "503"]


def breaking_profile(share: float) -> dict:
    return {"fault": [{"kind": kind, "probability": share / len(KINDS)} for kind in KINDS]}


@pytest.mark.alone
@pytest.mark.timeout(60)
def test_500_streams_at_once_of_which_a_fifth_breaks_are_all_whole(gateway, simulate):
    first, second = simulate(tokens_per_second=50, **breaking_profile(0.2)), simulate(tokens_per_second=50)
    served = served_by(gateway, first.port, second.port)
    questions = [f"question {i}" for i in range(500)]
    expected = asyncio.run(streams(second.port, questions, 500))
    assert len(set(expected)) == 500
    assert asyncio.run(streams(served.port, questions, 500)) == expected
    stats = first.stats
    assert stats["requests"] == 500 and 60 <= stats["broken"] + stats["clients_left"] <= 140
