"""`--preset`: options from a file, and several files of a photo."""

import json
from pathlib import Path

import numpy as np
import pytest

from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_alpha
from tests.conftest import RunMatte
from tests.support.batches import SIDE, lines_of, make_folders, outputs_in, write_photo

pytestmark = pytest.mark.usefixtures("networks_once")

Folders = tuple[Path, Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two photos with trimaps; and where the outputs go."""
    return make_folders(tmp_path, ("a.png", "sub/c.png"))


def write_preset(root: Path, text: str) -> Path:
    """A preset in a folder of its own beside the photos."""
    path = root / "presets" / "catalogue.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_options_of_a_preset_are_those_of_the_command_line(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, _, out = folders
    preset = write_preset(
        tmp_path,
        'trimaps = "../trimaps"\nwhat = ["alpha:png16", "cutout"]\nsnap = 3\nrecursive = false\n'
        'report = "../run.jsonl"\n[predict]\ntrimap = "unused.png"\n',
    )
    code, _, err = run_matte("batch", photos, out, "--preset", preset)
    assert code == 0, err
    assert outputs_in(out) == {"a_alpha.png", "a_cutout.png"}
    assert read_image(out / "a_alpha.png").depth == 16
    assert (tmp_path / "run.jsonl").exists()
    command = ("--what", "alpha:png16,cutout", "--snap", "3", "--no-recursive")
    _, _, err = run_matte("batch", photos, out, "-t", tmp_path / "trimaps", *command)
    assert "0 done, 1 skipped, 0 failed" in err  # its recipes hash the values, wherever they come from


def test_the_command_line_wins_over_a_preset(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    preset = write_preset(tmp_path, 'trimaps = "nowhere"\nrecursive = true\nbits = 16\nname = "{stem}_x.png"\n')
    given = ("-t", trimaps, "--no-recursive", "--bits", "8")
    code, _, err = run_matte("batch", photos, out, "--preset", preset, *given)
    assert code == 0, err
    assert outputs_in(out) == {"a_x.png"}
    assert read_image(out / "a_x.png").depth == 8


def test_the_table_of_a_command_wins_over_the_options_above_it(run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = make_folders(tmp_path, ("a.png",))
    preset = write_preset(tmp_path, f"trimaps = {str(tmp_path)!r}\nbits = 16\n[batch]\ntrimaps = {str(trimaps)!r}\n")
    assert run_matte("batch", photos, out, "--preset", preset)[0] == 0
    assert read_image(out / "a_alpha.png").depth == 16


def test_a_colour_is_not_taken_for_a_path_but_a_picture_is(run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, _ = make_folders(tmp_path, ("a.png",))
    (trimaps / "a.png").replace(tmp_path / "alpha.png")
    command = (
        "composite",
        photos / "a.png",
        tmp_path / "alpha.png",
        "-o",
        tmp_path / "out.png",
        "--overwrite",
        "--json",
    )
    for value, taken in {
        "white": "white",
        "#00b140": "#00b140",
        "rgb(0 177 64)": "rgb(0 177 64)",
        "../photos/a.png": str(tmp_path / "presets" / ".." / "photos" / "a.png"),
    }.items():
        preset = write_preset(tmp_path, f'background = "{value}"\n')
        code, stdout, err = run_matte(*command, "--preset", preset)
        assert code == 0, err
        assert json.loads(stdout)["background"] == taken


def test_a_pattern_of_backgrounds_starts_at_the_presets_folder(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    for name in ("a.png", "sub/c.png"):
        write_photo(tmp_path / "presets/backgrounds" / name)
    preset = write_preset(tmp_path, 'background = "backgrounds/{dir}/{stem}"\n')
    code, shown, err = run_matte("batch", photos, out, "-t", trimaps, "--preset", preset, "--dry-run")
    assert (code, shown.splitlines()[-1].startswith("2 to do")) == (0, True), err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "trimap = 'x.png'",
            "trimap is an option of `matte predict`, not of `matte batch`; put it into a table [predict]",
        ),
        (
            "[[batch.deliver]]\nsize = 3",
            "[batch] deliver is not an option; write [[deliver]], which stands in no table",
        ),
        ("trimpas = 'x'", "trimpas is not an option; did you mean trimaps?"),
        ("[batch]\noutput_space = 'srgb'", "[batch] output_space is not an option; did you mean output-space?"),
        ("no-recursive = true", "no-recursive is not an option; did you mean recursive?"),
        ("qqqq = 1", "qqqq is not an option; `matte batch --help` lists the options"),
        ("preset = 'other.toml'", "preset is not an option"),
        ("recursive = 'yes'", "recursive must be true or false, not 'yes'"),
        ("snap = true", "snap must be a text or a number, not True"),
        ("tile = 10", "tile must be auto, off or a multiple of 16 from 64 up, not 10"),
        ("precision = 'fp8'", "precision must be auto, fp32, bf16 or fp16, not 'fp8'"),
        ("batch = 3", "batch must be a table [batch], not a value"),
        ("snap = ", "is not TOML in UTF-8"),
        ("[deliver]\nsize = 3", "deliver must be tables [[deliver]], with two brackets"),
        ("[[deliver]]\nformatt = 'jpg'", "[[deliver]] 1: formatt is not a key of a delivery; did you mean format?"),
        ("[[deliver]]\nformat = 'gif'", "[[deliver]] 1: format must be one of"),
        ("[[deliver]]\nwhat = 'layers'", "what must be alpha, cutout, foreground or composite, not layers"),
        ("[[deliver]]\nwhat = 'composite'", "composite is a composite, which needs a background"),
        ("[[deliver]]\nformat = 'jpg'", "cutout is a cut-out, and .jpg has no transparency"),
        ("[[deliver]]\n[[deliver]]", "[[deliver]] 2: cutout is the name of an earlier delivery"),
        ("[[deliver]]\nname = 'a b'", "name must be a word, such as web, not 'a b'"),
        ("[[deliver]]\nname = 'alpha'", "a cutout is called alpha, which is another kind"),
        ("[[deliver]]\nsize = '0x3'", "size must be the longest side in pixels"),
        ("[[deliver]]\nmax-bytes = 'few'", "max-bytes must be a number of bytes"),
        ("[[deliver]]\nmax-bytes = 9", "quality and max-bytes are for jpg, webp, avif and jxl, not for .png"),
        ("[[deliver]]\nwhat = 'alpha'\nformat = 'jpg'", "is an alpha, which is never lossy"),
        ("[[deliver]]\nformat = 'webp'\nquality = 'lossless'\nmax-bytes = 9", "quality lossless contradicts max-bytes"),
        ("[[deliver]]\nfile = 'x.png'", "file must hold {stem} or {name}"),
        ("[[deliver]]\nfile = 'web/{foo}/{stem}'", "[[deliver]] 1: file has {foo}, which has no meaning; use {dir}, "),
        ("[[deliver]]\nfile = '../{stem}.png'", "file must lie below the output folder"),
        (
            "[[deliver]]\nname = 'a'\nfile = '{stem}'\n[[deliver]]\nname = 'b'\nfile = '{stem}.tif'",
            "[[deliver]] 2: b has the file of an earlier delivery, {stem}.png; give it another",
        ),
        ("[[deliver]]\nname = 'web'\n[[deliver]]\nname = 'Web'", "Web is the name of an earlier delivery"),
    ],
)
def test_what_is_wrong_in_a_preset_is_named(
    folders: Folders, run_matte: RunMatte, tmp_path: Path, text: str, message: str
) -> None:
    photos, trimaps, out = folders
    preset = write_preset(tmp_path, text)
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--preset", preset)
    assert code == (3 if "not TOML" in message else 2)
    assert str(preset) in err
    assert message in " ".join(err.split())
    assert not out.exists()


def test_a_preset_that_is_missing_is_an_error(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--preset", tmp_path / "no.toml")
    assert code == 3
    assert "no.toml cannot be read" in err


DELIVER = """
background = "white"
[[deliver]]
name = "web"
format = "jpg"
size = 16
max-bytes = 1200
[[deliver]]
name = "print"
what = "cutout"
format = "tif16"
file = "print/{dir}/{stem}"
"""


WEB = """
[[deliver]]
name = "web"
format = "jpg"
"""


def test_a_photo_is_delivered_as_several_files(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    preset = write_preset(tmp_path, DELIVER)
    report = tmp_path / "run.jsonl"
    command = ("batch", photos, out, "-t", trimaps, "--preset", preset, "--report", report)
    code, _, err = run_matte(*command)
    assert code == 0, err
    assert outputs_in(out) == {"a_web.jpg", "print/a.tif", "sub/c_web.jpg", "print/sub/c.tif"}
    web, cutout = read_image(out / "a_web.jpg"), read_image(out / "print/a.tif", keep_alpha=True)
    assert web.size == (16, 16)
    assert (out / "a_web.jpg").stat().st_size <= 1200
    assert (cutout.size, cutout.depth, cutout.pixels.shape[2]) == ((32, 32), 16, 4)
    assert set(lines_of(report)["a.png"]["output"]) == {"web", "print"}
    assert "0 done, 2 skipped" in run_matte(*command)[2]


def test_only_a_delivery_that_changed_is_made_again(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    command = ("batch", photos, out, "-t", trimaps, "--preset")
    run_matte(*command, write_preset(tmp_path, DELIVER))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.is_file()}
    _, _, err = run_matte(*command, write_preset(tmp_path, DELIVER.replace("size = 16", "size = 12")))
    assert "2 done, 0 skipped" in err
    changed = {
        path.suffix for path, time in before.items() if path.suffix != ".jsonl" and path.stat().st_mtime_ns != time
    }
    assert changed == {".jpg"}
    assert read_image(out / "a_web.jpg").size == (12, 12)


def test_predict_delivers_what_a_batch_delivers(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    preset = write_preset(tmp_path, DELIVER)
    run_matte("batch", photos, out, "-t", trimaps, "--preset", preset)
    alone = tmp_path / "alone"
    command = ("predict", photos / "a.png", "-t", trimaps / "a.png", "--preset", preset)
    code, stdout, err = run_matte(*command, "--out-dir", alone, "--json")
    assert code == 0, err
    assert outputs_in(alone) == {"a_web.jpg", "print/a.tif"}
    assert json.loads(stdout)["output"] == {"web": str(alone / "a_web.jpg"), "print": str(alone / "print/a.tif")}
    for name in outputs_in(alone):
        assert (alone / name).read_bytes() == (out / name).read_bytes()
    code, _, err = run_matte(*command, "-o", tmp_path / "one.png")
    assert code == 2
    assert "the preset delivers 2 outputs but -o names one file" in err
    code, _, err = run_matte(*command, "--what", "cutout", "--out-dir", alone, "--overwrite")
    assert code == 0, err
    assert "a_cutout.png" in outputs_in(alone)


def test_a_photo_that_is_not_there_leaves_no_folder(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, _ = folders
    preset, new, gone = write_preset(tmp_path, DELIVER), tmp_path / "new", photos / "gone.png"
    alpha = trimaps / "a.png"
    for command in (
        ("predict", gone, "-t", trimaps / "a.png", "--out-dir", new),
        ("predict", photos / "a.png", "-t", trimaps / "gone.png", "--out-dir", new, "--preset", preset),
        ("predict", photos / "a.png", "-t", trimaps / "a.png", "-b", tmp_path / "gone.png", "--out-dir", new),
        ("composite", gone, alpha, "-b", "white", "--out-dir", new),
        ("composite", photos / "a.png", alpha, "-b", tmp_path / "gone.png", "--out-dir", new),
    ):
        code, _, err = run_matte(*command)
        assert (code, "gone.png does not exist" in err, new.exists()) == (3, True, False), err
    one = write_preset(tmp_path, WEB)
    assert run_matte("composite", gone, alpha, "-b", "white", "--out-dir", new, "--preset", one)[0] == 3
    assert not new.exists()


def test_the_folder_of_a_single_delivery_is_not_made_for_a_named_output(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, _ = folders
    one = ("predict", photos / "a.png", "-t", trimaps / "a.png", "-b", "white")
    target = tmp_path / "missing" / "x.jpg"
    code, _, err = run_matte(*one, "--preset", write_preset(tmp_path, WEB), "-o", target)
    assert (code, "missing does not exist; create it first" in err, target.parent.exists()) == (3, True, False), err


def test_the_depth_of_an_alpha_is_that_of_a_delivery_with_a_name_of_its_own(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    preset = write_preset(tmp_path, "[[deliver]]\nname = 'matte'\nwhat = 'alpha'")
    batch = ("batch", photos, out, "-t", trimaps, "--preset", preset)
    code, _, err = run_matte(*batch, "--bits", "float")
    assert (code, out.exists()) == (3, False)
    assert "cannot hold floating point" in err
    assert run_matte(*batch, "--bits", "16")[0] == 0
    assert read_image(out / "a_matte.png").depth == 16
    one = ("predict", photos / "a.png", "-t", trimaps / "a.png", "--preset", preset, "--out-dir", tmp_path / "one")
    assert run_matte(*one, "--bits", "16")[0] == 0
    assert read_image(tmp_path / "one/a_matte.png").depth == 16


def test_colours_of_cutouts_are_for_commands_that_make_some(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    for_white = ("--linear", "--cutout-for", "white")
    batch = ("batch", photos, out, "-t", trimaps, "-b", "white", *for_white)
    code, _, err = run_matte(*batch)
    assert (code, out.exists()) == (2, False)
    assert "--cutout-for would do nothing, because no transparent output is written" in err
    assert run_matte(*batch, "-b", "transparent", "--dry-run")[0] == 0
    write_alpha(tmp_path / "alpha.png", np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE))
    preset = write_preset(tmp_path, "[[deliver]]\nwhat = 'cutout'")
    one = ("composite", photos / "a.png", tmp_path / "alpha.png", "-b", "white", "--out-dir", out, *for_white)
    assert run_matte(*one)[0] == 2
    code, _, err = run_matte(*one, "--preset", preset)
    assert (code, outputs_in(out)) == (0, {"a_cutout.png"}), err


def test_a_delivery_of_so_many_bytes_is_not_lossless(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    table = "[[deliver]]\nname = 'web'\nwhat = 'cutout'\nformat = 'webp'\nmax-bytes = 5000\n"
    options = ("--quality", "lossless", "--preset", write_preset(tmp_path, table))
    write_alpha(tmp_path / "alpha.png", np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE))
    one = (photos / "a.png", "-t", trimaps / "a.png", "--out-dir", out)
    for command in (
        ("predict", *one),
        ("batch", photos, out, "-t", trimaps),
        ("composite", photos / "a.png", tmp_path / "alpha.png", "-b", "white", "--out-dir", out),
    ):
        code, _, err = run_matte(*command, *options)
        assert (code, out.exists()) == (2, False), command
        assert "--quality lossless contradicts max-bytes of the delivery web; " in err
    write_preset(tmp_path, f"{table}quality = 90\n")
    assert run_matte("predict", *one, *options)[0] == 0, "its own quality wins"


def test_a_delivery_that_cannot_be_small_enough_fails_by_name(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    preset = write_preset(tmp_path, DELIVER.replace("max-bytes = 1200", "max-bytes = 100"))
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--preset", preset)
    assert code == 1
    assert "a_web.jpg would have more than 100 bytes at quality 30" in " ".join(err.split())


def test_a_delivered_composite_without_a_background_fails_by_name(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    manifest = tmp_path / "pairs.csv"
    lines = [f"{photos / name},{trimaps / name},{behind}" for name, behind in (("a.png", ""), ("sub/c.png", "red"))]
    manifest.write_text("\n".join(["image,trimap,background", *lines]), encoding="utf-8")
    preset = write_preset(tmp_path, "[[deliver]]\nname = 'web'\nwhat = 'composite'")
    code, _, err = run_matte("batch", out, "--manifest", manifest, "--preset", preset)
    assert code == 1
    assert "names no background in line 2; add it or give -b" in " ".join(err.split())
    assert outputs_in(out) == {"c_web.png"}


def test_options_of_files_that_do_nothing_for_the_deliveries_of_one_photo_are_refused(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    preset = write_preset(tmp_path, "[[deliver]]\nname = 'web'")
    command = ("composite", photos / "a.png", trimaps / "a.png", "-b", "red", "--preset", preset, "--out-dir", out)
    for option, said in (("--quality=50", "--quality is for JPEG"), ("--straight", "--straight is for EXR")):
        code, _, err = run_matte(*command, option)
        assert (code, said in err) == (2, True)
    code, _, err = run_matte(*command, "--fit", "tile")
    assert (code, "red is a colour" in err) == (2, True)
    assert run_matte(*command)[0] == 0


def test_two_deliveries_of_one_photo_never_share_a_file(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    preset = write_preset(tmp_path, "[[deliver]]\nname = 'web'\n[[deliver]]\nname = 'big'\nfile = '{stem}_Web'")
    of_alpha = ("composite", photos / "a.png", trimaps / "a.png", "-b", "red")
    of_trimap = ("predict", photos / "a.png", "-t", trimaps / "a.png")
    for command in (of_alpha, of_trimap):
        code, _, err = run_matte(*command, "--preset", preset, "--out-dir", out, "--overwrite")
        assert code == 2, err
        assert "a_Web.png would be both web and big; give one of them a file of another name" in " ".join(err.split())
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--preset", preset)
    assert code == 1
    assert "a_Web.png would be both web and big" in " ".join(err.split())
    assert not list(out.rglob("a_*"))


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("u2net=models/u2.onnx", "u2net={root}/models/u2.onnx"),
        ("u2net=/models/u2.onnx", "u2net=/models/u2.onnx"),
        ("models/u2.onnx", "{root}/models/u2.onnx"),
    ],
)
def test_a_model_of_a_preset_lies_beside_it_also_after_its_name(
    run_matte: RunMatte, folders: Folders, tmp_path: Path, given: str, taken: str
) -> None:
    photos, _, out = folders
    preset = write_preset(tmp_path, f'auto = true\nauto-model = "{given}"\n')
    code, _, err = run_matte("batch", photos, out, "--preset", preset)
    assert code == 4, err
    assert f"error: {taken.format(root=preset.parent).partition('=')[2] or taken.format(root=preset.parent)} " in err


@pytest.mark.parametrize("option", ["output-space = 'srgb'", "strip-metadata = true"])
def test_options_of_pictures_are_refused_for_an_alpha_alone_unless_a_preset_has_them(
    run_matte: RunMatte, folders: Folders, tmp_path: Path, option: str
) -> None:
    photos, trimaps, out = folders
    name, _, value = option.partition(" = ")
    for command in (("predict", photos / "a.png", "-o", tmp_path / "alpha.png"), ("batch", photos, out)):
        given = ["-t", trimaps / "a.png" if command[0] == "predict" else trimaps]
        code, _, err = run_matte(*command, *given, f"--{name}", *([] if value == "true" else ["srgb"]))
        assert (code, f"--{name} would do nothing, because only an alpha is written" in err) == (2, True), err
        preset = write_preset(tmp_path, option)  # which another command needs
        code, _, err = run_matte(*command, *given, "--preset", preset)
        assert code == 0, err


def test_shards_do_not_write_the_one_report_of_a_preset(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    preset = write_preset(tmp_path, '[batch]\nreport = "../run.jsonl"\n[composite]\nreport = "../run.jsonl"\n')
    command = ("batch", photos, out, "-t", trimaps, "--preset", preset, "--shard", "2/3")
    given = tmp_path / "presets/../run.jsonl"
    for arguments in (
        command,
        (*command, "--report", given),
        ("composite", photos, trimaps, "-b", "red", "--out-dir", out, "--preset", preset, "--shard", "2/3"),
    ):
        code, _, err = run_matte(*arguments)
        assert (code, "all 3 shards would write the report of the preset" in err) == (2, True), err
        assert f"--report {given.with_name('run-2.jsonl')}" in err
    assert run_matte(*command, "--report", tmp_path / "run-2.jsonl")[0] == 0
    assert (tmp_path / "run-2.jsonl").exists()
    assert run_matte(*command, "--prune-alpha", "all")[0] == 0  # writes no report
