"""A network as an ONNX model, a trained classifier with its preprocessing inside."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from study.errors import StudyError
from study.experiment import Views
from study.files import write_bytes
from study.inference.runtime import INPUT, OUTPUT
from study.models import classifier

if TYPE_CHECKING:
    from onnx import ModelProto


class Deployed(nn.Module):
    """uint8 images (N, 3, H, W) -> logits (N, C), prepared exactly as in training and evaluation."""

    def __init__(self, model: nn.Module, size: int, count: Views) -> None:
        super().__init__()
        self.model, self.size, self.count = model, size, count

    def forward(self, images: Tensor) -> Tensor:
        prepared = classifier.prepare(images, self.size, self.model).contiguous()  # as the weights, see _for_tracing
        shown = classifier.views(prepared, self.count)
        if len(shown) == 1:
            return self.model(shown[0])
        # One pass over all of them: with every layer twice weights are shared, and quantisers fail on that.
        return self.model(torch.cat(shown)).unflatten(0, (len(shown), -1)).mean(dim=0)


def to_onnx(model: nn.Module, size: int, path: Path, stored: int, views: Views = 1) -> None:
    """Write ``model`` as one ONNX file: uint8 (N, 3, stored, stored) in, float logits (N, C) out, N free.

    ``model`` takes normalised images (N, 3, size, size) and has the buffers ``mean`` and ``std``.
    Resizing and normalising go into the graph, so no caller can get them wrong, and so does
    averaging the logits of so many ``views`` of an image. StudyError when the model cannot
    be exported.
    """
    example = torch.zeros(2, 3, stored, stored, dtype=torch.uint8)
    write_bytes(path, serialized(Deployed(model, size, views), example))


def serialized(module: nn.Module, example: Tensor) -> bytes:
    """The ONNX model of a module in eval mode that takes batches of any size of images like ``example`` (2, …).

    In float32, even where autocast would have it otherwise.

    StudyError when the module cannot be exported.
    """
    with _quiet(), torch.inference_mode(), torch.autocast("cpu", enabled=False):
        try:
            program = torch.onnx.export(
                _for_tracing(module).eval(),
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
        except torch.onnx.OnnxExporterError as error:
            raise StudyError(f"the model cannot be exported to ONNX: {str(error).splitlines()[0]}") from error
    assert program is not None, "only ahead-of-time exporters return a program"
    return _without_traces(program.model_proto).SerializeToString(deterministic=True)


def _for_tracing(model: nn.Module) -> nn.Module:
    """A copy whose weights are not channels-last, which means nothing in ONNX.

    torch 2.11 spells out strides, on which ONNX Runtime's shape inference fails.
    """
    return copy.deepcopy(model).cpu().to(memory_format=torch.contiguous_format)


def _without_traces(model: ModelProto) -> ModelProto:
    """Drop the stack traces: they hold this machine's paths, and so would make equal models differ."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress lines, logs and warnings about its own internals off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        into = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(into), contextlib.redirect_stderr(into):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
