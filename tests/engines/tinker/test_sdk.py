"""What the engine asks of the SDK is there in the version that is installed; run with the oldest and the newest."""

from __future__ import annotations

import inspect
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from running_server import why_no_server

from candor.engines.tinker import sdk
from candor.errors import ModelError
from candor.files import read_json, write_json

if _reason := why_no_server():
    pytest.skip(_reason, allow_module_level=True)

import tinker
from tinker import types

ASKED: dict[type, dict[str, tuple[str, ...]]] = {
    tinker.ServiceClient: {
        "get_server_capabilities": (),
        "create_lora_training_client": ("base_model", "rank", "seed", "train_unembed"),
        "create_sampling_client": ("base_model",),
        "create_rest_client": (),
    },
    tinker.TrainingClient: {
        "forward": ("data", "loss_fn"),
        "forward_backward": ("data", "loss_fn"),
        "optim_step": (),
        "save_state": ("name", "ttl_seconds"),
        "load_state_with_optimizer": ("path",),
        "save_weights_for_sampler": ("name", "ttl_seconds"),
        "create_sampling_client": ("model_path",),
    },
    tinker.SamplingClient: {"sample": ("prompt", "num_samples", "sampling_params", "include_prompt_logprobs")},
}


@pytest.mark.parametrize(("kind", "method"), [(kind, name) for kind, names in ASKED.items() for name in names])
def test_every_method_takes_what_it_is_given(kind: type, method: str) -> None:
    parameters = inspect.signature(getattr(kind, method)).parameters
    assert set(ASKED[kind][method]) <= set(parameters)
    extra = [p for name, p in parameters.items() if name not in ASKED[kind][method] and name != "self"]
    needed = [p.name for p in extra if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert method == "optim_step" or not needed, "nothing else may be required"


def test_an_adapter_can_be_downloaded_one_way_or_the_other() -> None:
    from tinker.lib.public_interfaces.rest_client import RestClient

    if hasattr(tinker.TrainingClient, "save_weights_external"):
        assert {"name", "ttl_seconds"} <= set(inspect.signature(tinker.TrainingClient.save_weights_external).parameters)
        assert hasattr(RestClient, "get_external_weights_urls")
    else:
        assert hasattr(RestClient, "get_checkpoint_archive_url")


def test_types_are_made_of_what_the_engine_has() -> None:
    import numpy as np

    from candor.engines.tinker.losses import datum

    row = datum((1, 2), (3, 4), np.array([-0.5, -1.0]), np.array([2.0, -2.0]))
    assert row.model_input.to_ints() == [1, 2, 3]
    values = {name: value.to_numpy().tolist() for name, value in row.loss_fn_inputs.items()}
    assert values == {"target_tokens": [2, 3, 4], "logprobs": [0.0, -0.5, -1.0], "advantages": [0.0, 2.0, -2.0]}
    adam = types.AdamParams(learning_rate=0.1, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.0, grad_clip_norm=1.0)
    assert adam.grad_clip_norm == 1.0
    assert types.SamplingParams(max_tokens=3, temperature=0.0, seed=1, stop=[2, 5]).stop == [2, 5]
    assert "importance_sampling" in str(types.LossFnType)


def test_a_client_takes_the_patient_connection() -> None:
    from candor.engines.tinker.http import PatientTransport, patient_client

    client = patient_client(patience_s=1.0, in_flight=2)
    assert isinstance(client._transport, PatientTransport)
    parameters = inspect.signature(tinker._client.AsyncTinker.__init__).parameters
    assert {"http_client", "max_retries"} <= set(parameters)


def test_a_version_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sdk.sdk_version() == tinker.__version__
    monkeypatch.setattr(sdk, "version", lambda name: "0.18.2")
    with pytest.raises(ModelError, match=r"0\.18\.2 is too old"):
        sdk.sdk_version()

    def missing(name: str) -> str:
        raise sdk.PackageNotFoundError(name)

    monkeypatch.setattr(sdk, "version", missing)
    with pytest.raises(ModelError, match=r"pip install -e '\.\[tinker\]'"):
        sdk.sdk_version()


def test_newer_sdks_give_a_future_of_a_client() -> None:
    class Future:
        def result(self) -> str:
            return "client"

    class Client:
        pass

    client = Client()
    assert sdk.settled(Future()) == "client"
    assert sdk.settled(client) is client


def test_an_archive_cannot_write_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("../outside.bin", "/adapter_config.json", "deep/adapter_model.safetensors"):
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"ab"))
    monkeypatch.setattr(sdk, "_fetch", lambda url: packed.getvalue())

    class Anything:
        model_id = "m"

        def __getattr__(self, name: str) -> Any:
            if name == "save_weights_external":
                raise AttributeError(name)
            return lambda *_, **__: self

    monkeypatch.setattr(sdk, "name_targets", lambda folder: None)
    (tmp_path / "inner").mkdir()
    sdk.download_adapter(Anything(), Anything(), "x", tmp_path / "inner")
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    assert sorted(path.name for path in (tmp_path / "inner").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "outside.bin",
    ]


def test_an_adapter_says_which_modules_it_adapts(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    prefix = "base_model.model.model.layers.0"
    names = [f"{prefix}.{module}.lora_{half}.weight" for module in ("mlp.up_proj", "self_attn.q_proj") for half in "AB"]
    save_file({name: np.zeros((2, 2), dtype=np.float32) for name in names}, tmp_path / "adapter_model.safetensors")
    write_json(tmp_path / "adapter_config.json", {"r": 2, "target_modules": None})
    sdk.name_targets(tmp_path)
    assert read_json(tmp_path / "adapter_config.json")["target_modules"] == ["q_proj", "up_proj"]
    write_json(tmp_path / "adapter_config.json", {"r": 2, "target_modules": ["mine"]})
    sdk.name_targets(tmp_path)
    assert read_json(tmp_path / "adapter_config.json")["target_modules"] == ["mine"]


@pytest.mark.parametrize(
    ("server", "installed", "wanted"),
    [
        ("0.3.0", "0.24.1", None),
        ("0.3.0", "0.25.0", "0.24.1"),
        ("0.4.0", "0.25.3", None),
        ("0.4.0", "0.24.1", "0.25.0"),
        ("0.4.0", "0.38.0", "0.25.0"),
        ("another", "0.38.0", None),
    ],
)
def test_a_skyrl_server_is_asked_for_by_the_sdk_that_it_speaks_with(
    server: str, installed: str, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What their first pages told when they were run."""
    pages = ["/api/v1/training_runs/{unique_id}/checkpoints"]
    if server == "0.4.0":
        pages.append("DELETE /api/v1/training_runs/{unique_id}/checkpoints/weights/{checkpoint_id}")
    told = {"name": "another" if server == "another" else sdk.SKYRL, "endpoints": {"checkpoints": pages}}

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    monkeypatch.setattr(sdk, "sdk_version", lambda: installed)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert sdk.loads_first() == (installed != "0.24.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_address[1]}"
        if wanted is None:
            assert sdk.check_server(url, patience_s=5.0) == told["name"]
        else:
            with pytest.raises(ModelError, match=rf"SkyRL {server} server.*pip install tinker=={wanted}"):
                sdk.check_server(url, patience_s=5.0)
        running.shutdown()


def test_what_a_backend_cannot_do_is_final() -> None:
    """In SkyRL 0.4.0's words, which the SDK hands on in an error of its own."""
    said = "Error code: 400 - {'detail': 'topk_prompt_logprobs is not supported by the JAX backend'} (status 400)"
    assert sdk.is_final(ValueError(said))
    assert not sdk.is_final(ValueError("Error code: 400 - {'detail': 'model not found'} (status 400)"))
