from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from mattecli.errors import DeviceError, InputError, MatteError, UsageError, WeightsError
from mattecli.inference.backend import load_backend
from mattecli.inference.model import predict_alpha
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u, save_a2u
from mattecli.onnx import check, export
from mattecli.onnx.check import check_sizes
from mattecli.onnx.export import export_onnx
from mattecli.onnx.whole import Options, build
from mattecli.ops import resample
from mattecli.weights import Checkpoint, find_checkpoint
from tests.support.reference import seeded_network

Array = NDArray[Any]


@cache
def model(options: Options) -> onnx.ModelProto:
    return build(find_checkpoint(), options)


@cache
def shipped() -> A2UNet:
    return load_a2u(find_checkpoint().path).double()


def run(proto: onnx.ModelProto, *given: Array) -> Array:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return session.run(None, dict(zip(names, given, strict=True)))[0]  # type: ignore[no-any-return]


def changed(proto: onnx.ModelProto, factor: float) -> onnx.ModelProto:
    """The model with the weights of its last layer multiplied."""
    other = onnx.ModelProto()
    other.CopyFrom(proto)
    tensor = next(t for t in other.graph.initializer if t.name == "pred.1.weight")
    tensor.CopyFrom(numpy_helper.from_array(np.float32(factor) * numpy_helper.to_array(tensor), tensor.name))
    return other


def planes(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).standard_normal((shape[0], 4, *shape[1:])).astype(np.float32)


def difference(found: Array, net: A2UNet, x: Array) -> float:
    """The largest error as a part of the largest alpha."""
    with torch.no_grad():
        expected = net(torch.from_numpy(x).double()).numpy()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("shape", [(1, 16, 16), (5, 16, 48), (3, 80, 64), (1, 272, 208)])
def test_one_file_gives_the_networks_alpha_at_every_size_and_batch(shape: tuple[int, int, int]) -> None:
    x = planes(*shape)
    assert difference(run(model(Options()), x), shipped(), x) < 1e-5


@pytest.mark.parametrize("shared", [True, False])
def test_both_variants_are_exported(shared: bool, tmp_path: Path) -> None:
    net = seeded_network(2, shared=shared)
    save_a2u(net, tmp_path / "seeded.safetensors", dtype=torch.float32)
    proto = build(Checkpoint(tmp_path / "seeded.safetensors"), Options())
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert facts["variant"] == ("shared" if shared else "unshared")
    net = net.double()
    for shape in ((2, 32, 48), (1, 96, 16)):
        x = planes(*shape)
        assert difference(run(proto, x), net, x) < 1e-5


def test_the_standard_file_has_standard_operators_only_and_readable_names() -> None:
    proto = model(Options())
    assert {node.domain for node in proto.graph.node} == {""}
    assert not proto.functions
    assert [entry.domain for entry in proto.opset_import] == [""]
    names = {node.name.partition("/")[0] for node in proto.graph.node}
    assert {"layer0.0", "bilinear0", "layer2_1.bilinear", "dconv_pp", "decoder_layer1", "pred.1", "alpha"} <= names
    sizes = [[d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] for x in proto.graph.input]
    assert sizes == [["batch", 4, "height", "width"]]
    assert all(x.doc_string for x in (*proto.graph.input, *proto.graph.output))
    onnx.checker.check_model(proto, full_check=True)
    onnx.shape_inference.infer_shapes(proto, strict_mode=True, check_type=True)


def test_the_file_says_what_it_is() -> None:
    proto = model(Options())
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert facts["weights_sha256"] == find_checkpoint().sha256
    assert facts["weights_licence"] == "Apache-2.0"
    assert facts["stride"] == "16"
    assert "0.485" in facts["normalisation"]
    assert proto.producer_name == "mattecli"


@pytest.mark.parametrize("opset", [19, 21, 23])
def test_newer_opsets_compute_the_same(opset: int) -> None:
    x = planes(1, 32, 32)
    assert model(Options(opset=opset)).opset_import[0].version == opset
    assert np.array_equal(run(model(Options(opset=opset)), x), run(model(Options()), x))


def test_custom_operators_fall_back_to_their_bodies() -> None:
    proto = model(Options(ops="custom"))
    kinds = [node.op_type for node in proto.graph.node if node.domain == "mattecli"]
    assert sorted(kinds) == ["A2UDownsample"] * 4 + ["A2UUpsample"] * 4
    assert {function.name for function in proto.functions} == {"A2UDownsample", "A2UUpsample"}
    x = planes(2, 48, 32)
    assert np.abs(run(proto, x) - run(model(Options()), x)).max() < 1e-6


def test_a_runtime_with_kernels_for_the_custom_operators_uses_them() -> None:
    calls: list[str] = []

    class Kernel(OpRun):
        op_domain = "mattecli"

        def _run(self, x: Array, s: Array, p: Array) -> tuple[Array]:
            calls.append(type(self).__name__)
            resampled = resample.downsample if type(self).__name__ == "A2UDownsample" else resample.upsample
            return (resampled(*(torch.from_numpy(a.copy()) for a in (x, s, p))).numpy(),)

    kernels = [type(name, (Kernel,), {}) for name in ("A2UDownsample", "A2UUpsample")]
    x = planes(1, 16, 32)
    found = ReferenceEvaluator(model(Options(ops="custom")), new_ops=kernels).run(None, {"image_trimap": x})[0]
    assert sorted(calls) == ["A2UDownsample"] * 4 + ["A2UUpsample"] * 4
    assert difference(found, shipped(), x) < 1e-4


def test_half_precision_is_near_and_half_the_size() -> None:
    half, full = model(Options(fp16=True)), model(Options())
    assert half.ByteSize() < 0.55 * full.ByteSize()
    x = planes(2, 64, 48)
    assert difference(run(half, x), shipped(), x) < 1e-2


def test_half_precision_takes_statistics_of_the_whole_map_in_32_bits() -> None:
    graph = model(Options(fp16=True)).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    sums = [node for node in graph.node if node.op_type in ("ReduceMean", "ReduceSum")]
    assert {node.op_type for node in sums} == {"ReduceMean", "ReduceSum"}
    assert {node.name: kinds[node.input[0]] for node in sums if kinds[node.input[0]] != onnx.TensorProto.FLOAT} == {}


def test_a_fixed_size_is_fixed() -> None:
    proto = model(Options(size=(64, 96)))
    assert [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim] == [1, 4, 64, 96]
    x = planes(1, 64, 96)
    assert difference(run(proto, x), shipped(), x) < 1e-5
    with pytest.raises(Exception, match=r"(?i)invalid dimensions"):
        run(proto, planes(1, 64, 64))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 40), (53, 37), (64, 48)])
def test_with_pre_and_post_processing_the_file_does_what_predict_does(height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    image = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    trimap = rng.choice(np.array([0, 1, 128, 254, 255], np.uint8), (2, height, width))
    found = run(model(Options(pre_post=True)), image, trimap)
    assert found.dtype == np.uint8
    backend = load_backend(device="cpu")
    for ours, photo, codes in zip(found, image, trimap, strict=True):
        alpha = np.rint(255.0 * predict_alpha(photo, codes, backend))
        assert np.abs(ours - alpha).max() <= 1  # rounding
        known = (codes == 0) | (codes == 255)
        assert np.array_equal(ours[known], codes[known])


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`size=100,64` is not a multiple of 16"):
        export_onnx(find_checkpoint(), tmp_path / "a.onnx", options=Options(size=(100, 64)))
    with pytest.raises(UsageError, match="`opset=11` is not offered; choose 18 to 23"):
        export_onnx(find_checkpoint(), tmp_path / "a.onnx", options=Options(opset=11))
    wrong: Any = "Custom"
    with pytest.raises(UsageError, match=r"`ops=Custom` is not offered; choose standard or custom$"):
        export_onnx(find_checkpoint(), tmp_path / "a.onnx", options=Options(ops=wrong))
    save_a2u(A2UNet(upsampling="bilinear"), tmp_path / "bilinear.safetensors")
    with pytest.raises(WeightsError, match="does not upsample by affinity"):
        export_onnx(Checkpoint(tmp_path / "bilinear.safetensors"), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_a_file_that_is_not_pytorchs_is_not_kept_and_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(InputError, match="exists already"):
        export_onnx(find_checkpoint(), path)
    another = changed(model(Options()), 1.1)
    with monkeypatch.context() as patch:
        patch.setattr(export, "build", lambda *_: another)
        with pytest.raises(MatteError, match=r"at 16×16 the ONNX file is off by .* the file was deleted"):
            export_onnx(find_checkpoint(), path, overwrite=True)
    asked: list[int] = []
    monkeypatch.setattr(check, "free_bytes", lambda: asked.append(0) or 1000)
    with pytest.raises(
        DeviceError, match=r"the check of a.onnx takes about .* but only 0 MiB are free; .*`compare=False`"
    ):
        export_onnx(find_checkpoint(), path, overwrite=True)
    assert asked
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]
    export_onnx(find_checkpoint(), path, overwrite=True, compare=False)
    assert path.stat().st_size > 2**20


@pytest.mark.parametrize("package", ["torch", "onnxruntime"])
def test_a_package_for_the_check_that_does_not_load_is_named(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / f"{package}.py").write_text("raise OSError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path / "broken")
    monkeypatch.delitem(sys.modules, package)
    told = rf"^{package} is installed but does not load \(libgomp.so.1: .*\); install it again or use `compare=False`$"
    with pytest.raises(DeviceError, match=told):
        export_onnx(find_checkpoint(), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_only_an_error_of_writing_has_the_remedy_of_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.onnx"
    monkeypatch.setattr(export, "build", lambda *_: model(Options()))

    def fail(*_: object, **__: object) -> None:
        raise OSError("a library is missing")

    monkeypatch.setattr(export, "check", fail)
    with pytest.raises(DeviceError, match=r"a.onnx cannot be checked \(a library is missing\); .*`compare=False`$"):
        export_onnx(find_checkpoint(), path)
    assert not path.exists()
    monkeypatch.setattr(export, "check", lambda *_, **__: path.write_bytes(b"another's"))
    with pytest.raises(InputError, match=r"a.onnx exists already; name another output or use `overwrite=True`$"):
        export_onnx(find_checkpoint(), path)
    assert path.read_bytes() == b"another's"


@pytest.mark.parametrize(
    ("factor", "pre_post"),
    [(1.001, False), (float("nan"), False), (1.1, True), (float("nan"), True)],  # with pre_post one level may be off
)
def test_the_check_refuses_a_file_with_other_weights(factor: float, pre_post: bool, tmp_path: Path) -> None:
    options = Options(pre_post=pre_post)
    onnx.save(changed(model(options), factor), tmp_path / "a.onnx")
    with pytest.raises(MatteError, match="the ONNX file is off by"):
        check.check(tmp_path / "a.onnx", find_checkpoint(), options, name="a.onnx")


def test_the_check_covers_the_smallest_size_odd_ones_and_a_batch() -> None:
    sizes = check_sizes(Options())
    assert (1, 16, 16) in sizes
    assert any(batch > 1 for batch, _, _ in sizes)
    others = {(height, width) for _, height, width in sizes} - {(16, 16)}
    assert all(height != width for height, width in others)
    assert any(height // 16 % 2 and width // 16 % 2 for height, width in others)
    assert any(height > width for height, width in others)
    assert any(height < width for height, width in others)
    finished = check_sizes(Options(pre_post=True))
    assert (1, 1, 1) in finished
    assert any(batch > 1 for batch, _, _ in finished)
    assert any(height % 16 and width % 16 for _, height, width in finished if (height, width) != (1, 1))


def test_an_exported_file_serves_as_weights(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    trimap = np.full((64, 80), 128, np.uint8)
    expected = predict_alpha(image, trimap, load_backend(backend="onnx", device="cpu"))
    for number, options in enumerate((Options(), Options(pre_post=True, ops="custom"), Options(fp16=True))):
        path = tmp_path / f"{number}.onnx"
        export_onnx(find_checkpoint(), path, options=options, compare=False)
        backend = load_backend(path)
        assert backend.name == "onnx"
        found = predict_alpha(image, trimap, backend)
        assert np.abs(found - expected).max() <= (1e-2 if options.fp16 else 0)
    with pytest.raises(UsageError, match=r"0.onnx is for ONNX Runtime, not for `backend=torch`"):
        load_backend(tmp_path / "0.onnx", backend="torch")


def test_another_programs_onnx_file_is_not_weights(tmp_path: Path) -> None:
    proto = model(Options())
    other = onnx.ModelProto()
    other.CopyFrom(proto)
    other.producer_name = "another"
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(WeightsError, match=r"other.onnx was not written by `matte export-onnx`"):
        load_backend(tmp_path / "other.onnx")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((1, 1, 3, 3), np.nan, np.float32), "pred.1.weight holds values that are not finite"),
        (np.zeros((1, 2, 3, 3), np.float32), r"pred.1.weight is \(1, 2, 3, 3\) instead of \(1, 1, 3, 3\)"),
        (None, "pred.1.weight is missing"),
    ],
)
def test_an_exported_file_that_was_tampered_with_is_named(values: Array | None, said: str, tmp_path: Path) -> None:
    proto = onnx.ModelProto()
    proto.CopyFrom(model(Options()))
    tensor = next(t for t in proto.graph.initializer if t.name == "pred.1.weight")
    if values is None:
        tensor.name = "another"
    else:
        tensor.CopyFrom(numpy_helper.from_array(values, "pred.1.weight"))
    onnx.save(proto, tmp_path / "a.ONNX")
    with pytest.raises(WeightsError, match=rf"a.ONNX does not fit the A2U network: {said}"):
        load_backend(tmp_path / "a.ONNX")


def test_an_exported_file_is_not_exported_again(tmp_path: Path) -> None:
    export_onnx(find_checkpoint(), tmp_path / "a.onnx", compare=False)
    with pytest.raises(UsageError, match=r"a.onnx is an exported file already"):
        export_onnx(Checkpoint(tmp_path / "a.onnx"), tmp_path / "b.onnx")
