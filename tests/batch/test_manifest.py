"""Manifests: CSV and JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mattecli.batch.manifest import read_manifest
from mattecli.errors import InputError
from tests.support.batches import write_photo, write_trimap


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_photo(tmp_path / "data/cat, grey.png")
    write_trimap(tmp_path / "data/t.png")
    return tmp_path / "data"


def test_a_csv_lists_photos_relative_to_itself(data: Path, tmp_path: Path) -> None:
    manifest = data / "pairs.csv"
    manifest.write_text(
        'image,trimap,output,background\n"cat, grey.png",t.png,,\n"cat, grey.png",t.png,x/{what}.tif,beach.jpg\n'
        '"cat, grey.png",t.png,y.png,#00b140\n',
        encoding="utf-8-sig",
    )
    jobs = read_manifest(manifest, tmp_path / "out", background="white").jobs
    assert [job.outputs["alpha"] for job in jobs] == [
        str(tmp_path / "out" / name) for name in ("cat, grey_alpha.png", "x/alpha.tif", "y.png")
    ]
    assert [job.background for job in jobs] == ["white", str(data / "beach.jpg"), "#00b140"]
    assert {job.image for job in jobs} == {str(data / "cat, grey.png")}


def test_json_lines_say_the_same(data: Path, tmp_path: Path) -> None:
    manifest = data / "pairs.jsonl"
    row = {"image": "cat, grey.png", "trimap": str(data / "t.png"), "output": None}
    manifest.write_text(json.dumps(row) + "\n\n", encoding="utf-8")
    (job,) = read_manifest(manifest, tmp_path / "out").jobs
    assert (job.name, job.trimap) == ("cat, grey.png", str(data / "t.png"))


def test_lines_that_cannot_be_matted_have_failed(data: Path, tmp_path: Path) -> None:
    manifest = data / "pairs.csv"
    manifest.write_text(
        'image,trimap,output\n"cat, grey.png",t.png,a.png\ngone.png,t.png,b.png\n"cat, grey.png",,c.png\n,t.png,d.png\n'
        '"cat, grey.png",t.png,e.png\n"cat, grey.png",t.png,e.png\n"cat, grey.png",t.png,../data/t.png\n'
        '"cat, grey.png",t.png,b{1}.png\n',
        encoding="utf-8",
    )
    listed = read_manifest(manifest, tmp_path / "out")
    assert [job.outputs["alpha"] for job in listed.jobs] == [str(tmp_path / "out/a.png")]
    told = [failed.reason for failed in listed.failed]
    assert any("gone.png, of" in reason and "is not a file" in reason for reason in told)
    assert any("names no trimap in line 4" in reason for reason in told)
    assert any("names no image in line 5" in reason for reason in told)
    assert sum("output of two lines" in reason for reason in told) == 2
    assert any("t.png is an input of this run" in reason for reason in told)
    assert any("line 9" in reason and "{1}" in reason for reason in told)
    assert len(told) == 7


def test_what_is_not_a_colour_fails_its_line(data: Path, tmp_path: Path) -> None:
    manifest = data / "pairs.csv"
    manifest.write_text('image,trimap,background\n"cat, grey.png",t.png,red\n"cat, grey.png",t.png,#12345\n')
    listed = read_manifest(manifest, tmp_path / "out", pattern="{stem}.png")
    (failed,) = listed.failed
    assert failed.reason.startswith("line 3: '#12345' is not a colour")
    assert len(listed.jobs) == 1


def test_several_kinds_need_several_outputs_and_composites_a_background(data: Path, tmp_path: Path) -> None:
    manifest = data / "pairs.jsonl"
    rows = [{"image": "cat, grey.png", "trimap": "t.png", "output": "one.png", "background": "red"}]
    rows += [{"image": "cat, grey.png", "trimap": "t.png", "output": "{stem}-{what}.png"}]
    manifest.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    told = [failed.reason for failed in read_manifest(manifest, tmp_path, kinds=["alpha", "composite"]).failed]
    assert "names one output for 2 kinds of output in line 1" in told[0]
    assert "names no background in line 2" in told[1]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.csv", b"photo,trimap\na,b\n", "has no column image"),
        ("p.csv", b"image,trimap,mask\na,b,c\n", "has a column 'mask'"),
        ("p.csv", b"image,trimap\na,b,c\n", "has a column 'a column without a name'"),
        ("p.csv", b"image,trimap\n", "lists no image"),
        ("p.csv", b"image,trimap\n\xff\xfe,b\n", "is not text in UTF-8"),
        ("p.jsonl", b'{"image": "a"\n', "line 1 is not JSON"),
        ("p.jsonl", b'["a", "b"]\n', "line 1 is not a JSON object"),
    ],
)
def test_a_manifest_that_is_none_says_why(tmp_path: Path, name: str, text: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(InputError, match=told):
        read_manifest(tmp_path / name, tmp_path / "out")


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pairs.csv cannot be read \(No such file"):
        read_manifest(tmp_path / "pairs.csv", tmp_path / "out")
