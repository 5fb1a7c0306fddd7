"""What 0.1.0 wrote, batches and exported files, goes on working; `make_old_files` made it."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mattecli
from tests.conftest import RunMatte
from tests.contract.make_old_files import BATCHES, EXPORTS, OLD, ROOT, command, described, schemas

ENDINGS = json.loads((OLD / "batch" / "endings.json").read_text(encoding="utf-8"))
REPORTS = ("plain", "by_content", "jsonl", "shard_1", "shard_2", "merged")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Where 0.1.0 worked: photos, trimaps, outputs with their journals, reports, each file with its time."""
    root = tmp_path.resolve() / "old"
    shutil.copytree(OLD / "batch", root)
    times = json.loads((root / "times.json").read_text(encoding="utf-8"))
    for path in root.rglob("*.jsonl"):
        path.write_text(path.read_text(encoding="utf-8").replace(ROOT, root.as_posix()), encoding="utf-8")
    for name, time in times.items():
        os.utime(root / name, ns=(time, time))
    return root


@pytest.fixture(autouse=True)
def _one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load each network once for all tests of this module, which takes most of a small batch's time."""
    monkeypatch.setattr("mattecli.inference.model.load_backend", _load_once)


_load_once = cache(mattecli.load_backend)


def pictures(root: Path) -> dict[str, tuple[bytes, int]]:
    """What each picture below a folder holds, and its time."""
    paths = [path for suffix in ("png", "tif") for path in root.rglob(f"*.{suffix}")]
    return {path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def counts(err: str) -> tuple[int, ...]:
    """How many photos a batch says were done, skipped and failed."""
    found = re.search(r"(\d+) done, (\d+) skipped, (\d+) failed", err)
    assert found is not None, err
    return tuple(map(int, found.groups()))


def lines(report: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", BATCHES)
def test_what_an_old_journal_calls_done_stays_done(name: str, old: Path, run_matte: RunMatte) -> None:
    before = pictures(old)
    done = ENDINGS[name]["done"]
    if name == "csv":  # 0.1.0 let a line lead out of the output folder
        take_out_the_line_that_leads_out(old / "pairs.csv")
        done -= 1
    code, _, err = run_matte(*command(name, old))
    assert (code, counts(err)[:2]) == (ENDINGS[name]["code"], (0, done)), err
    assert pictures(old) == before


def take_out_the_line_that_leads_out(manifest: Path) -> None:
    rows = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [row for row in rows if "../" not in row]
    assert len(kept) == len(rows) - 1
    manifest.write_text("".join(kept), encoding="utf-8")


def test_an_old_manifest_that_leads_out_of_the_output_folder_is_refused_now(old: Path, run_matte: RunMatte) -> None:
    before = pictures(old)
    code, _, err = run_matte(*command("csv", old))
    assert code == 3
    assert f"{old / 'pairs.csv'} line 4: the output ../elsewhere/{{stem}}_{{what}}.png leads out of the output" in err
    assert pictures(old) == before


def test_what_is_done_by_content_stays_done_when_the_inputs_get_other_times(old: Path, run_matte: RunMatte) -> None:
    for path in [*(old / "photos").rglob("*.png"), *(old / "trimaps").rglob("*.png"), old / "background.png"]:
        os.utime(path)
    assert counts(run_matte(*command("by_content", old))[2]) == (0, 3, 1)


@pytest.mark.parametrize("change", ["photo", "trimap", "content"])
def test_what_was_made_from_other_inputs_is_made_again(change: str, old: Path, run_matte: RunMatte) -> None:
    if change == "content":
        (old / "background.png").write_bytes((old / "trimaps" / "a.png").read_bytes())
    else:
        os.utime(old / f"{change}s" / "a.png")
    name, found = ("by_content", (3, 0, 1)) if change == "content" else ("plain", (1, 2, 1))
    assert counts(run_matte(*command(name, old))[2]) == found


@pytest.mark.parametrize("option", ["--bits=16", "--snap=2", "--precision=bf16", "--linear", "-b=black"])
def test_what_was_made_with_other_options_is_made_again(option: str, old: Path, run_matte: RunMatte) -> None:
    words = [str(word) for word in command("plain", old)]
    if option.startswith("-b"):  # which stands for a single background
        del words[words.index("-b") : words.index("-b") + 2]
    assert counts(run_matte(*words, *option.split("="))[2]) == (3, 0, 1)


def test_what_was_made_in_fp32_stays_done_where_fp32_is_asked_for(old: Path, run_matte: RunMatte) -> None:
    assert counts(run_matte(*command("plain", old), "--precision", "fp32")[2]) == (0, 3, 1)


def test_an_output_that_somebody_else_wrote_since_is_not_replaced(old: Path, run_matte: RunMatte) -> None:
    os.utime(old / "transparent" / "a.png")
    before = pictures(old)
    code, _, err = run_matte(*command("transparent", old))
    assert (code, counts(err)) == (1, (0, 2, 2))
    assert "a.png exists already" in err
    assert pictures(old) == before


def test_an_old_batch_goes_on_and_makes_what_it_made(old: Path, run_matte: RunMatte) -> None:
    gone = [old / "plain" / name for name in ("a_alpha.png", "sub/c_cutout.png")]
    left = old / "plain" / ".matte-01234567-4000000-0123456789abcdef.tmp"  # of another machine that died long ago
    left.write_bytes(b"half a picture")
    os.utime(left, (1e9, 1e9))
    before = {path: mattecli.read_image(path).pixels if "cut" in path.name else pixels_of(path) for path in gone}
    for path in gone:
        path.unlink()
    known = lines(old / "plain.jsonl")
    code, _, err = run_matte(*command("plain", old), "--device", "cpu")  # a card would compute in 16 bits
    assert (code, counts(err)) == (1, (2, 1, 1))
    assert not left.exists()
    for path, pixels in before.items():
        found = mattecli.read_image(path).pixels if "cut" in path.name else pixels_of(path)
        assert np.abs(found.astype(int) - pixels).max() <= 1, path  # rounding on another machine
    new = {line.get("name"): line for line in lines(old / "plain.jsonl")}
    for line in known:  # whoever reads reports finds in them what was there
        assert set(line) - {"peak_bytes"} <= set(new[line.get("name")])
        assert set(line.get("summary", ())) <= set(new[None]["summary"])
    assert {line["name"]: line["output"] for line in known if "name" in line} == {
        name: line["output"] for name, line in new.items() if name
    }


def pixels_of(path: Path) -> np.ndarray:
    return np.rint(255 * mattecli.read_alpha(path)).astype(np.uint8)


def test_the_photos_that_failed_in_an_old_report_are_tried_again(old: Path, run_matte: RunMatte) -> None:
    shutil.copyfile(old / "photos" / "a.png", old / "photos" / "broken.png")
    for report in ("plain", "merged"):
        again = [*command("transparent", old), "--retry-failed", str(old / f"{report}.jsonl")]
        code, _, err = run_matte(*again)
        assert (code, counts(err)) == (0, (1, 0, 0) if report == "plain" else (0, 1, 0)), err


@pytest.mark.parametrize("name", REPORTS)
def test_an_old_report_is_summed_up(name: str, old: Path, tmp_path: Path, run_matte: RunMatte) -> None:
    summary = lines(old / f"{name}.jsonl")[-1]["summary"]
    code, out, err = run_matte("report", old / f"{name}.jsonl", "--html", tmp_path / "page.html")
    assert (code, counts(out)) == (0, (summary["done"], summary["skipped"], summary["failed"])), err
    assert "come to its end" not in out
    assert ("broken.png" in out) == (summary["failed"] > 0)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/") >= summary["done"]
    code, out, _ = run_matte("report", old / f"{name}.jsonl", "--json")
    assert (code, json.loads(out)["summary"]) == (0, summary)


def test_old_reports_are_merged_as_they_were(old: Path, tmp_path: Path, run_matte: RunMatte) -> None:
    target = tmp_path / "merged.jsonl"
    assert run_matte("report", "merge", old / "shard_1.jsonl", old / "shard_2.jsonl", "-o", target)[0] == 0
    assert lines(target) == lines(old / "merged.jsonl")


def test_an_old_report_that_was_cut_off_is_read_as_far_as_it_goes(old: Path, run_matte: RunMatte) -> None:
    report = old / "plain.jsonl"
    report.write_bytes(report.read_bytes()[:-150])
    code, out, _ = run_matte("report", report)
    assert (code, "did not come to its end" in out) == (0, True)


@pytest.mark.parametrize("name", EXPORTS)
def test_an_exported_file_has_all_that_one_of_0_1_0_has(name: str, tmp_path: Path, run_matte: RunMatte) -> None:
    expected = json.loads((OLD / "onnx.json").read_text(encoding="utf-8"))[name]
    code, _, err = run_matte("export-onnx", tmp_path / "a.onnx", "--no-check", *EXPORTS[name])
    assert code == 0, err
    found = described(tmp_path / "a.onnx")
    assert set(expected.pop("keys")) <= set(found["keys"])
    assert expected.pop("facts").items() <= found["facts"].items()
    assert {key: found[key] for key in expected} == expected


def test_the_operators_have_the_schemas_of_0_1_0() -> None:
    assert set((OLD / "schemas.txt").read_text(encoding="utf-8").splitlines()) <= set(schemas())


def test_the_operators_module_has_the_names_of_0_1_0() -> None:
    import torch

    import mattecli.ops as ops

    modules = {"A2UDownsample", "A2UUpsample", "Affinity", "KernelPredictor"}
    functions = {"correlate", "correlate_pair", "down_kernel", "downsample", "reassemble_down", "reassemble_up"}
    assert modules | functions | {"up_kernel", "upsample"} <= set(ops.__all__)
    predict, down, up = ops.KernelPredictor(8), ops.A2UDownsample(), ops.A2UUpsample()
    x = torch.randn(2, 8, 12, 16)
    affinity = predict(x)
    assert isinstance(affinity, ops.Affinity)
    assert up(down(x, affinity), affinity).shape == x.shape


def test_the_package_has_the_names_of_0_1_0() -> None:
    names = """Backend DeviceError Image InputError MatteError Predictor Scores UsageError WeightsError composite cutout
    estimate_foreground fit_background load_backend make_trimap predict_alpha read_alpha read_image read_trimap score
    write_alpha write_image"""
    assert set(names.split()) <= set(mattecli.__all__)
    assert all(getattr(mattecli, name) is not None for name in names.split())
    for name in ("UsageError", "InputError", "WeightsError", "DeviceError"):
        assert issubclass(getattr(mattecli, name), mattecli.MatteError)


def test_predict_alpha_takes_the_backend_in_third_place_and_by_its_name(old: Path) -> None:
    photo = mattecli.read_image(old / "photos" / "a.png")
    trimap = mattecli.read_trimap(old / "trimaps" / "a.png")
    backend: mattecli.Backend = mattecli.load_backend("a2u_shared", backend="torch", device="cpu", precision="fp32")
    facts = backend.name, backend.device, backend.precision, backend.checkpoint.name
    assert facts == ("torch", "cpu", "fp32", "a2u_shared")
    third = mattecli.predict_alpha(photo.pixels, trimap, backend)
    named = mattecli.predict_alpha(image=photo.pixels, trimap=trimap, backend=backend, tile="off", max_memory=None)
    assert np.array_equal(third, named)
    assert (third.dtype, third.shape) == (np.dtype("float32"), trimap.shape)
    assert np.abs(np.rint(255 * third) - pixels_of(old / "plain" / "a_alpha.png")).max() <= 1


def test_a_predictor_can_be_pickled_and_gives_rows_for_rows(old: Path) -> None:
    predictor = mattecli.Predictor(
        "a2u_shared",
        backend="torch",
        device="cpu",
        provider=None,
        precision="fp32",
        tile="auto",
        max_memory=None,
        snap=1,
    )
    there = pickle.loads(pickle.dumps(predictor))
    assert there.model.options == predictor.model.options
    photo, trimap = old / "photos" / "a.png", old / "trimaps" / "a.png"
    row = there({"image": str(photo), "trimap": trimap.read_bytes(), "id": 7})
    assert (set(row), row["error"], row["id"]) == ({"image", "trimap", "id", "alpha", "error"}, None, 7)
    assert np.abs(np.rint(255 * row["alpha"]) - pixels_of(old / "plain" / "a_alpha.png")).max() <= 1
    row = there({"image": str(old / "photos" / "broken.png"), "trimap": str(trimap)})
    assert row["alpha"] is None
    assert "broken.png" in row["error"]
