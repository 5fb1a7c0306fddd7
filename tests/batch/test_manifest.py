"""Manifests: CSV and JSON lines."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from mattecli.batch.manifest import read_manifest
from mattecli.errors import InputError
from mattecli.work.outcome import Skipped
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
        '"cat, grey.png",t.png,e.png\n"cat, grey.png",t.png,e.png\n'
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
    assert any("line 8" in reason and "{1}" in reason for reason in told)
    assert len(told) == 6


def test_an_output_that_is_an_input_has_failed(data: Path) -> None:
    manifest = data / "pairs.csv"
    manifest.write_text('image,trimap,output\n"cat, grey.png",t.png,t.png\n', encoding="utf-8")
    (failed,) = read_manifest(manifest, data).failed
    assert f"{data / 't.png'} is an input of this run" in failed.reason
    assert failed.reason.endswith("; change the column output")


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("../stolen.png", "the output ../stolen.png leads out of the output folder"),
        ("a/../../stolen.png", "leads out of the output folder"),
        ("/stolen.png", "the output /stolen.png leads out of the output folder"),
        ("link/stolen.png", "link/stolen.png leads out of the output folder .* through a link to .*elsewhere/stolen"),
        ("file.png", "file.png leads out of the output folder .* through a link to .*elsewhere/new.png"),
        (".", "is the output folder .* itself"),
        ("a/..", "is the output folder .* itself"),
        ("nul\\u0000.png", "is not a name that a file can have"),
    ],
)
def test_an_output_that_leaves_the_output_folder_ends_the_run_and_names_its_line(
    data: Path, tmp_path: Path, output: str, told: str
) -> None:
    out = tmp_path / "out"
    (tmp_path / "elsewhere").mkdir()
    out.mkdir()
    (out / "link").symlink_to(tmp_path / "elsewhere")
    (out / "file.png").symlink_to(tmp_path / "elsewhere/new.png")
    manifest = data / "pairs.jsonl"
    row = '{"image": "cat, grey.png", "trimap": "t.png", "output": "%s"}\n'
    manifest.write_text(row % "fine.png" + row % output, encoding="utf-8")
    with pytest.raises(InputError, match=rf"pairs\.jsonl line 2: .*{told}"):
        read_manifest(manifest, out)


def test_a_path_that_comes_back_into_the_output_folder_is_kept(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "real").mkdir(parents=True)
    (out / "link").symlink_to(out / "real")
    manifest = data / "pairs.csv"
    wanted = ["a/../one.png", str(out / "two.png"), "link/three.png"]
    manifest.write_text("image,trimap,output\n" + "".join(f'"cat, grey.png",t.png,{path}\n' for path in wanted))
    jobs = read_manifest(manifest, out).jobs
    assert [job.outputs["alpha"] for job in jobs] == [str(out / name) for name in ("one.png", "two.png", wanted[2])]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_line_ends_marks_and_cases_of_tables_are_all_read(
    data: Path, tmp_path: Path, separator: str, ending: str, encoding: str
) -> None:
    manifest = data / "pairs.csv"
    rows = [("Image", "TRIMAP", " Output ", "Client"), ("", "", "", ""), (f'"cat{separator} grey.png"', "t.png")]
    rows += [(), ("t.png", "t.png", '"x""1.png"', "Ähre"), ("", "", "", "")]
    (data / f"cat{separator} grey.png").write_bytes((data / "t.png").read_bytes())
    manifest.write_bytes(ending.join(map(separator.join, rows)).encode(encoding))
    jobs = read_manifest(manifest, tmp_path / "out").jobs
    assert [job.name for job in jobs] == [f"cat{separator} grey.png", "t.png"]
    assert [job.outputs["alpha"] for job in jobs][1] == str(tmp_path / 'out/x"1.png')
    assert [job.extra for job in jobs] == [{"Client": ""}, {"Client": "Ähre"}]


def test_spaces_after_separators_do_not_count_where_the_header_has_them(data: Path, tmp_path: Path) -> None:
    manifest = data / "pairs.csv"
    manifest.write_text('image, trimap\n"cat, grey.png", t.png \n', encoding="utf-8")
    (job,) = read_manifest(manifest, tmp_path / "out").jobs
    assert job.trimap == str(data / "t.png")


def test_the_separator_that_excel_notes_above_the_header_counts(data: Path, tmp_path: Path) -> None:
    manifest = data / "pairs.csv"
    manifest.write_text("sep=;\r\nimage;trimap\r\nt.png;t.png\r\n", encoding="utf-8")
    (job,) = read_manifest(manifest, tmp_path / "out").jobs
    assert (job.name, job.extra) == ("t.png", {})
    manifest.write_text("sep=;\r\nimage; trimap\r\nt.png; t.png\r\n", encoding="utf-8")
    (job,) = read_manifest(manifest, tmp_path / "out").jobs
    assert job.trimap == str(data / "t.png")


def test_other_columns_are_kept_as_text_and_those_of_failed_lines_too(data: Path, tmp_path: Path) -> None:
    manifest = data / "pairs.jsonl"
    rows = [{"Image": "t.png", "trimap": "t.png", "Shot": 12, "ok": True, "tags": ["a"], "none": None}]
    rows += [{"image": "gone.png", "trimap": "t.png", "Shot": "13"}]
    manifest.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    listed = read_manifest(manifest, tmp_path / "out")
    assert [job.to_json()["extra"] for job in map(Skipped, listed.jobs)] == [
        {"Shot": "12", "ok": "true", "tags": '["a"]', "none": ""}
    ]
    assert [failed.to_json()["extra"] for failed in listed.failed] == [{"Shot": "13"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.tsv", "image\ttrimap\nt.png\tt.png\n"),
        ("p.txt", "image;trimap\nt.png;t.png\n"),
        ("p", '{"image": "t.png", "trimap": "t.png"}\n'),
    ],
)
def test_a_manifest_of_another_suffix_is_told_by_its_content(data: Path, name: str, text: str) -> None:
    (data / name).write_text(text, encoding="utf-8")
    assert len(read_manifest(data / name, data / "out").jobs) == 1


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
        (
            "p.csv",
            b"photo,trimap\na,b\n",
            "has no column image: its first line holds 'photo', 'trimap'; that line",
        ),
        ("p.csv", b"a.png;b.png\n", "has no column image: its first line holds 'a.png;b.png'; that line must name"),
        ("p.csv", b"image,mask\na,b\n", "has no column trimap: its first line holds 'image', 'mask'"),
        ("p.csv", b"image,Image,trimap\na,b,c\n", "has 2 columns 'image'; give each column a name of its own"),
        ("p.csv", b"image,trimap,note,note\na,b,c,d\n", "has 2 columns 'note'"),
        ("p.csv", b"image,x;trimap\na,b\n", "can be split by commas and by semicolons: its first line is 'image,x;tr"),
        ("p.csv", b"image,trimap\na,b,c\n", "line 2 has 3 fields, but its first line names 2 columns; put fields that"),
        ("p.csv", b"image,trimap,\na,b,c\n", "line 2 has 'c' in a column without a name"),
        ("p.csv", b'image,trimap\n"a,b\n', r"line 2 is not CSV \(unexpected end of data\); check its quotes"),
        ("p.csv", b"image,trimap\n", "lists no image"),
        ("p.csv", b"", "lists no image"),
        ("p.csv", b"x" * 100_000, f"its first line holds '{'x' * 80}'; that line"),
        ("p.csv", b"image,trimap\n\xff\xfe,b\n", "is not text in UTF-8"),
        ("p.jsonl", b'{"image": "a"\n', "line 1 is not JSON"),
        ("p.jsonl", b"[" * 100_000, "line 1 is not JSON"),
        ("p.jsonl", b'["a", "b"]\n', "line 1 is not a JSON object"),
        ("p.jsonl", b'{"image": "a", "IMAGE": "b", "trimap": "t"}\n', "line 1 has two keys 'image'"),
    ],
)
def test_a_file_that_is_not_a_manifest_says_why(tmp_path: Path, name: str, text: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(InputError, match=told):
        read_manifest(tmp_path / name, tmp_path / "out")


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not text exist on Linux alone")
def test_names_of_files_may_hold_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"Zo\xeb.png"))
    write_trimap(tmp_path / "t.png")
    manifest = tmp_path / "pairs.csv"
    manifest.write_bytes(b"image,trimap,client\nZo\xeb.png,t.png,Jones\n")
    (job,) = read_manifest(manifest, tmp_path / "out").jobs
    assert job.image == str(photo)
    for line in (b"no\xeb.png,t.png,Jones", b"Zo\xeb.png,t.png,M\xfcller"):
        manifest.write_bytes(b"image,trimap,client\n" + line)
        with pytest.raises(InputError, match=r"is not text in UTF-8 \(.*can't decode byte"):
            read_manifest(manifest, tmp_path / "out")


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pairs.csv cannot be read \(No such file"):
        read_manifest(tmp_path / "pairs.csv", tmp_path / "out")
