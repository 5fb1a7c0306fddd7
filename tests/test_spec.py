"""The constants of the network against the modules and files that have them too."""

import json
import subprocess
import sys

import pytest

from mattecli.network.a2u import A2UNet
from mattecli.network.blocks import Upsampling
from mattecli.network.fold import fold_norms
from mattecli.spec import CONV_BEFORE, DILATIONS, GROUPS, PREDICTORS, STRIDE, TAPS, VARIANT, padded, tensor_shapes
from tests.support.reference import FOLDER


@pytest.mark.parametrize("variant", ["shared", "unshared"])
def test_tensors_have_the_authors_names_shapes_and_order(variant: str) -> None:
    expected = json.loads((FOLDER / f"state_dict_{variant}.json").read_text())
    found = tensor_shapes(shared=variant == "shared")
    assert [(name, list(shape)) for name, shape in found.items()] == list(expected.items())


@pytest.mark.parametrize("upsampling", ["affinity", "nearest", "bilinear"])
@pytest.mark.parametrize("shared", [True, False])
def test_the_network_has_these_tensors_with_every_upsampling(upsampling: Upsampling, shared: bool) -> None:
    net = A2UNet(shared=shared, upsampling=upsampling)
    found = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert found == tensor_shapes(shared=shared, up_kernels=upsampling == "affinity")
    assert (TAPS in found) == (upsampling != "affinity")
    assert found[VARIANT][0] == (1 if shared else 64)


def test_the_norms_that_the_network_folds_are_those_that_names_tell() -> None:
    norms = {name.removesuffix(".running_mean") for name in tensor_shapes(shared=True) if name.endswith("running_mean")}
    convs = {f"{norm.rpartition('.')[0]}.{CONV_BEFORE[norm.rpartition('.')[2]]}" for norm in norms}
    folded = {name.removesuffix(".bias") for name in fold_norms(A2UNet()).state_dict() if name.endswith(".bias")}
    own = {name for name in folded if "bilinear" in name}  # the predictors' own layers have a bias too
    assert folded - own == convs


def test_predictors_have_these_channels_and_groups_and_aspp_these_dilations() -> None:
    net = A2UNet()
    for name, channels in PREDICTORS.items():
        norm = net.get_submodule(f"{name}.bnu.0")
        assert (norm.num_channels, norm.num_groups) == (channels, GROUPS)
    branches = [net.get_submodule(f"dconv_pp.aspp{number}.atrous_conv.0") for number in (2, 3, 4)]
    assert tuple(branch.dilation[0] for branch in branches) == DILATIONS  # type: ignore[index, union-attr]


@pytest.mark.parametrize(("size", "expected"), [(1, 16), (15, 16), (16, 16), (17, 32), (1080, 1088)])
def test_sides_are_padded_to_the_next_multiple_of_the_stride(size: int, expected: int) -> None:
    assert padded(size) == expected
    assert expected % STRIDE == 0


def test_the_constants_load_no_framework() -> None:
    code = (
        "import sys, mattecli.spec, mattecli.network.tensors\n"
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'numpy', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
