"""Every step is taken once, on a service that is made up: it fails where it is told to, and remembers what it did."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from candor.engines.tinker import sdk, service
from candor.engines.tinker.losses import Reduction
from candor.engines.tinker.service import ATTEMPTS, REPLAYED, Connection, Service, Step
from candor.errors import EngineError, ModelError, NumericsError

KEY = "tml-secret"


class LostError(Exception):
    """The connection broke."""


class RefusedError(Exception):
    """Trying again does not help."""


class Future:
    def __init__(self, value: Any, world: World | None = None) -> None:
        self.value, self.world = value, world

    def result(self) -> Any:
        if self.world is not None:
            self.world.waiting -= 1
        return self.value


class World:
    """The server: weights are a list of the steps taken on them, and saved states outlive sessions."""

    def __init__(self) -> None:
        self.states: dict[str, list[Any]] = {}
        self.sessions: list[Session] = []
        self.closed: list[Session] = []
        self.failing: list[Exception | None] = []
        self.offered = ["small"]
        self.norm = 1.0
        self.waiting = self.most_waiting = 0
        self.loads_first = False
        self.unloaded: list[Adapter] = []

    def connect(self, **_: Any) -> Session:
        self.sessions.append(Session(self))
        return self.sessions[-1]

    def fail(self) -> None:
        """Fail as told; ``None`` lets one pass."""
        if self.failing and (failure := self.failing.pop(0)) is not None:
            raise failure


class Session:
    def __init__(self, world: World) -> None:
        self.world = world

    def get_server_capabilities(self) -> Any:
        return SimpleNamespace(supported_models=[SimpleNamespace(model_name=name) for name in self.world.offered])

    def create_lora_training_client(self, **_: Any) -> Adapter:
        return Adapter(self.world)

    def create_sampling_client(self, base_model: str) -> Sampler:
        return Sampler(self.world, base_model)


class Adapter:
    def __init__(self, world: World) -> None:
        self.world = world
        self.weights: list[Any] = []
        self.samplers = 0
        self.asked = False

    def save_state(self, name: str, ttl_seconds: int | None = None) -> Future:
        self.asked = True
        self.world.states[name] = list(self.weights)
        return Future(SimpleNamespace(path=name))

    def load_state_with_optimizer(self, path: str) -> Future:
        assert not (self.world.loads_first and self.asked), "LoadWeights is not permitted"
        self.asked = True
        self.weights = list(self.world.states[path])
        return Future(None)

    def forward_backward(self, data: list[Any], loss: str) -> Future:
        self.world.fail()
        self.asked = True
        self.weights.append(data[0])
        return self.forward(data, loss)

    def forward(self, data: list[Any], loss: str) -> Future:
        values = SimpleNamespace(to_numpy=lambda: np.arange(len(data)))
        return Future(SimpleNamespace(loss_fn_outputs=[{"logprobs": values}]))

    def optim_step(self, adam: Any) -> Future:
        self.asked = True
        return Future(SimpleNamespace(metrics={"unclipped_grad_norm": self.world.norm}))

    def save_weights_for_sampler(self, name: str, ttl_seconds: int) -> Future:
        self.samplers += 1
        return Future(SimpleNamespace(path=name))

    def create_sampling_client(self, path: str) -> Sampler:
        return Sampler(self.world, f"weights {self.weights}")


class Sampler:
    def __init__(self, world: World, of: str) -> None:
        self.world, self.of = world, of

    def sample(self, **request: Any) -> Future:
        self.world.waiting += 1
        self.world.most_waiting = max(self.world.most_waiting, self.world.waiting)
        return Future((self.of, request["prompt"]), self.world)


@pytest.fixture(params=["loads ever", "loads first"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """A service as SkyRL 0.3.0 is, and one as SkyRL 0.4.0 and the hosted one are."""
    made = World()
    made.loads_first = request.param == "loads first"
    monkeypatch.setattr(sdk, "loads_first", lambda: made.loads_first)
    monkeypatch.setattr(sdk, "unload", lambda adapter, base_url: made.unloaded.append(adapter))
    package, types = ModuleType("tinker"), ModuleType("tinker.types")
    types.AdamParams = SimpleNamespace  # type: ignore[attr-defined]
    package.types = types  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tinker", package)
    monkeypatch.setitem(sys.modules, "tinker.types", types)
    monkeypatch.setattr(sdk, "connect", made.connect)
    monkeypatch.setattr(sdk, "close", lambda session, adapter, base_url: made.closed.append(session))
    monkeypatch.setattr(sdk, "failures", lambda: (LostError, RefusedError))
    monkeypatch.setattr(sdk, "is_final", lambda error: isinstance(error, RefusedError))
    monkeypatch.setattr(service, "PAUSE_S", 0.0)
    return made


def client(**values: Any) -> Service:
    connection = Connection(base_url=None, key=KEY, patience_s=1.0, in_flight=3)
    options: dict[str, Any] = {"model": "small", "rank": 4, "seed": 0, "any_token": 5, "reduction": Reduction.SUM}
    return Service(connection, **{**options, **values})


def step(name: str) -> Step:
    return Step([name], SimpleNamespace())


def weights(used: Service) -> list[Any]:
    return list(used._adapter.weights)


def test_a_lost_step_is_taken_again_from_the_last_state_and_once(world: World) -> None:
    used = client()
    used.step(step("one"))
    used.save()
    used.step(step("two"))
    world.failing = [LostError("cut"), LostError("cut while it took the steps again")]
    logprobs, norm = used.step(step("three"))
    assert weights(used) == ["one", "two", "three"]
    assert norm == 1.0
    np.testing.assert_array_equal(logprobs, [[0.0]])
    # Whatever may have come of a session that failed, it is never used again.
    assert len(world.sessions) == 3
    assert world.closed == world.sessions[:2]


def test_many_steps_are_taken_again_however_often_some_of_them_fail(world: World) -> None:
    used = client()
    names = [f"step {number}" for number in range(40)]
    for name in names:
        used.step(step(name))
    # Every start gets two steps further than what is saved on the way.
    again: list[Exception | None] = [*[None] * (REPLAYED + 1), LostError("in the middle")]
    rounds = ATTEMPTS + 1
    world.failing = [LostError("cut"), *again * rounds]
    used.step(step("last"))
    assert weights(used) == [*names, "last"]
    assert world.failing == []
    assert len(world.sessions) == rounds + 2


def test_a_failure_for_good_is_not_tried_again(world: World) -> None:
    used = client()
    world.failing = [RefusedError("not paid for"), LostError("never reached")]
    with pytest.raises(
        EngineError, match=r"hosted.: RefusedError: not paid for\. Everything up to the last checkpoint"
    ):
        used.step(step("one"))
    assert len(world.failing) == 1
    world.failing = []
    used.step(step("after"))
    assert weights(used) == ["after"]


def test_a_service_that_keeps_failing_is_given_up(world: World) -> None:
    world.failing = [LostError(str(number)) for number in range(ATTEMPTS + 1)]
    with pytest.raises(EngineError, match=f"LostError: {ATTEMPTS - 1}"):
        client().step(step("one"))
    assert len(world.sessions) == ATTEMPTS
    assert len(world.failing) == 1


def test_the_key_is_in_no_message(world: World) -> None:
    world.failing = [RefusedError(f"header {KEY}\nof the request")]
    used = client()
    with pytest.raises(EngineError) as caught:
        used.step(step("one"))
    assert "header (key) of the request" in str(caught.value)
    assert KEY not in str(caught.value) + repr(used._connection)


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_step_whose_gradient_is_not_finite_is_taken_back(world: World, norm: float) -> None:
    used = client()
    used.step(step("good"))
    world.norm = norm
    with pytest.raises(NumericsError, match=f"norm on the service is {norm}"):
        used.step(step("bad"))
    world.norm = 1.0
    used.forward(["data"])
    assert weights(used) == ["good"]


def test_a_state_is_gone_back_to(world: World) -> None:
    used = client()
    used.step(step("one"))
    state = used.save()
    used.step(step("two"))
    used.load(state)
    assert weights(used) == ["one"]
    # So does another that begins with it.
    other = client(state=state)
    other.step(step("three"))
    assert weights(other) == ["one", "three"]


def test_samples_are_of_the_newest_weights_in_order_and_so_many_at_once(world: World) -> None:
    used = client()
    used.step(step("one"))
    requests = [{"prompt": number} for number in range(8)]
    assert used.sample(requests) == [("weights ['one']", number) for number in range(8)]
    assert world.most_waiting == 3
    used.sample(requests)
    assert used._adapter.samplers == 1
    used.step(step("two"))
    assert used.sample(requests[:1]) == [("weights ['one', 'two']", 0)]


def test_the_base_model_is_sampled_without_an_adapter(world: World) -> None:
    used = client()
    assert used.sample([{"prompt": 1}], base=True) == [("small", 1)]
    assert used._adapter is None
    assert world.states == {}


def test_a_model_that_is_not_offered_is_named(world: World) -> None:
    world.offered = ["large", "larger"]
    with pytest.raises(ModelError, match=r"does not offer 'small', only large, larger"):
        client().forward(["data"])


def test_how_losses_add_up_is_measured_once_before_the_state_is_loaded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[int] = []

    def measured(take: Any, token: int) -> Reduction:
        take(["probing"])
        tokens.append(token)
        return Reduction.TOKEN_MEAN

    monkeypatch.setattr(service, "measure_reduction", measured)
    used = client(reduction=None)
    assert used.reduction() is Reduction.TOKEN_MEAN
    world.failing = [LostError("cut")]
    used.step(step("one"))
    assert tokens == [5]
    # Nothing of the measuring is left in the weights.
    assert weights(used) == ["one"]


def test_a_place_is_cleaned_before_the_adapter_that_is_trained_takes_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server of one's own; what lies in a place there is the next one's."""
    connection = Connection(base_url="http://here", key=KEY, patience_s=1.0, in_flight=3)
    made: list[Adapter] = []
    monkeypatch.setattr(
        Session, "create_lora_training_client", lambda self, **_: made.append(Adapter(world)) or made[-1]
    )
    first = Service(connection, model="small", rank=4, seed=0, any_token=5, reduction=Reduction.SUM)
    first.step(step("one"))
    state = first.save()
    again = Service(connection, model="small", rank=4, seed=0, any_token=5, reduction=Reduction.SUM, state=state)
    again.step(step("two"))
    assert weights(again) == ["one", "two"]
    if world.loads_first:
        assert (len(made), world.unloaded) == (4, [made[0], made[2]])
        assert all(adapter.asked and not adapter.weights for adapter in world.unloaded)
    else:
        assert (len(made), world.unloaded) == (2, [])
    # The hosted service needs that of nobody who knows where to begin and how losses add up.
    made.clear()
    client(state=state).step(step("three"))
    assert len(made) == 1


def test_an_adapter_is_fetched_and_a_session_ended(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Any] = []
    monkeypatch.setattr(sdk, "download_adapter", lambda *values: fetched.append(values))
    used = client()
    used.download(tmp_path)
    ((session, adapter, name, folder),) = fetched
    assert (session, folder) == (world.sessions[0], tmp_path)
    assert isinstance(adapter, Adapter)
    assert name.startswith("adapter-")
    used.close()
    used.close()
    assert world.closed == world.sessions
