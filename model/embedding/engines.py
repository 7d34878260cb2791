"""What runs a network: PyTorch anywhere, OpenVINO on CPUs where it is installed; knows no bundle and no threshold."""

import warnings
from importlib.util import find_spec
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.faces.face import CropGeometry
from model.manifest import BundleError

EngineName: TypeAlias = Literal["auto", "torch", "openvino"]
"""`auto` is openvino where that is installed and the device is a CPU, else torch."""


class Engine(Protocol):
    """The seam: uint8 crops (N, channels, height, width) in, float32 embeddings (N, embedding_size) out.

    Safe to use from one thread at a time.
    """

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]: ...


def engine(
    name: EngineName, network: nn.Module, crop: CropGeometry, device: str = "cpu", threads: int | None = None
) -> Engine:
    """The named engine with this network. `threads`: cores to compute on; None is all.

    Raises BundleError where the engine or the device is not there, RuntimeError where the network takes no such crop.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise BundleError(f"device '{device}' was asked for, but there is none on this machine")
    installed = find_spec("openvino") is not None
    if name == "openvino" and not installed:
        raise BundleError("engine 'openvino' was asked for, but it is not installed: pip install 'facepair[openvino]'")
    if name == "openvino" and device != "cpu":
        raise BundleError(f"engine 'openvino' was asked for, but it does not run on device '{device}'")
    if name == "torch" or not installed or device != "cpu":
        return Torch(network.to(device), device, threads)
    return OpenVino(network, crop, threads)


class Torch:
    """The network as it is."""

    def __init__(self, network: nn.Module, device: str = "cpu", threads: int | None = None) -> None:
        self._network, self._device, self._threads = network, device, threads

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._threads is not None:
            torch.set_num_threads(self._threads)  # of the calling thread: others find faces meanwhile
        return embed(self._network, crops, self._device)


class OpenVino:
    """The network compiled by OpenVINO for one crop: as fast for each as in batches, and compiled only once.

    Its arithmetic fuses what PyTorch does step by step; distances agree to the sixth decimal.
    """

    def __init__(self, network: nn.Module, crop: CropGeometry, threads: int | None = None) -> None:
        from openvino import Core  # an extra

        model = _converted(network, torch.zeros(1, crop.channels, crop.height, crop.width, dtype=torch.uint8))
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on processors that have it: other distances
            "ENABLE_CPU_PINNING": False,  # threads that find faces share the cores
        }
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        self._request = Core().compile_model(model, "CPU", options).create_infer_request()

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts: list[NDArray[np.float32]] = [self._request.infer([crop[np.newaxis]])[0] for crop in crops]
        return np.concatenate(parts)


def _converted(network: nn.Module, example: torch.Tensor) -> Any:
    """The network as an `openvino.Model` for crops of the example's shape.

    By the frontend that OpenVINO's `convert_model` calls: that one also reports its use to Intel and traces twice.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; constants become part of the trace
        traced = torch.jit.trace(network.eval(), example, check_trace=False)
    decoder = TorchScriptPythonDecoder(traced)
    frontend = FrontEndManager().load_by_framework("pytorch")
    model = frontend.convert(frontend.load(decoder))
    model.reshape(list(example.shape))
    return model


def embed(module: nn.Module, crops: NDArray[np.uint8], device: str = "cpu", batch: int = 256) -> NDArray[np.float32]:
    """Embeddings of crops by PyTorch in evaluation mode, for networks that are still in training."""
    module.eval()
    with torch.inference_mode():
        parts = [module(part.to(device)).cpu() for part in torch.from_numpy(crops).split(batch)]
    return torch.cat(parts).numpy()
