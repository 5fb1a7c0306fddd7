"""Who belongs to whom in folders, and what is found wrong before any work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mattecli.batch import jobs
from mattecli.batch.jobs import JobList
from mattecli.batch.pairing import Alphas, Sources, find_jobs
from mattecli.errors import InputError, UsageError
from mattecli.work.making import Making
from tests.support.batches import make_folders, write_photo, write_trimap

Folders = tuple[Path, Path, Path]


def pairs(listed: JobList) -> dict[str, str]:
    return {job.name: job.trimap for job in listed.jobs}


def reasons(listed: JobList) -> dict[str, str]:
    return {failed.name: failed.reason for failed in listed.failed}


def test_photos_and_trimaps_pair_by_name_in_mirrored_trees(folders: Folders) -> None:
    photos, trimaps, out = folders
    (trimaps / "b.png").rename(trimaps / "b_trimap.png")
    listed = find_jobs(photos, out, trimaps=str(trimaps), kinds=["alpha", "cutout"])
    assert pairs(listed) == {
        "a.png": str(trimaps / "a.png"),
        "b.png": str(trimaps / "b_trimap.png"),
        "sub/c.png": str(trimaps / "sub/c.png"),
    }
    assert listed.jobs[2].outputs == {
        "alpha": str(out / "sub/c_alpha.png"),
        "cutout": str(out / "sub/c_cutout.png"),
    }
    assert (listed.failed, listed.unused) == ([], [])


def test_names_pair_as_people_read_them(tmp_path: Path) -> None:
    photos, trimaps = tmp_path / "photos", tmp_path / "trimaps"
    photos.mkdir()
    trimaps.mkdir()
    write_photo(photos / "Zo\u00eb.png")
    write_trimap(trimaps / "Zoe\u0308.png")  # the same name as macOS stores it
    for where in (str(trimaps), f"{trimaps}/{{stem}}.png"):
        listed = find_jobs(photos, tmp_path / "out", trimaps=where)
        assert pairs(listed) == {"Zo\u00eb.png": str(trimaps / "Zoe\u0308.png")}


def test_subfolders_pair_as_people_read_them(tmp_path: Path) -> None:
    photos, trimaps = tmp_path / "photos", tmp_path / "trimaps"
    (photos / "Zo\u00eb/M\u00fcnchen").mkdir(parents=True)
    (trimaps / "Zoe\u0308/Mu\u0308nchen").mkdir(parents=True)
    (trimaps / "Zoe").mkdir()
    write_photo(photos / "Zo\u00eb/M\u00fcnchen/a.png")
    write_photo(photos / "Zo\u00eb/b.png")
    write_trimap(trimaps / "Zoe\u0308/Mu\u0308nchen/a.png")
    write_trimap(trimaps / "Zoe/b.png")  # somebody else's
    for where in (str(trimaps), f"{trimaps}/{{dir}}/{{stem}}.png"):
        listed = find_jobs(photos, tmp_path / "out", trimaps=where)
        assert pairs(listed) == {"Zo\u00eb/M\u00fcnchen/a.png": str(trimaps / "Zoe\u0308/Mu\u0308nchen/a.png")}
        assert set(reasons(listed)) == {"Zo\u00eb/b.png"}


@pytest.mark.parametrize("unread", ["trimaps/sub", "cores"])
def test_photos_fail_where_a_folder_of_their_files_cannot_be_listed(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, unread: str
) -> None:
    photos, trimaps, out = folders
    cores = photos.parent / "cores"
    cores.mkdir()
    write_trimap(cores / "a.png")
    real = os.listdir

    def listdir(folder: str) -> list[str]:
        if str(folder) == str(photos.parent / unread):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    listed = find_jobs(photos, out, trimaps=str(trimaps), sources=Sources(making=Making(), cores=str(cores)))
    failed = ["sub/c.png"] if unread == "trimaps/sub" else ["a.png", "b.png", "sub/c.png"]
    assert sorted(reasons(listed)) == failed
    assert all("cannot be listed (Input/output error)" in reason for reason in reasons(listed).values())
    assert sorted(pairs(listed)) == sorted({"a.png", "b.png", "sub/c.png"} - set(failed))


def test_pictures_of_formats_that_are_not_read_are_told(folders: Folders) -> None:
    photos, trimaps, out = folders
    for name in ("raw.DNG", "sub/table.xcf", "notes.txt"):
        (photos / name).write_bytes(b"x")
    listed = find_jobs(photos, out, trimaps=str(trimaps))
    assert listed.foreign == [str(photos / "raw.DNG"), str(photos / "sub/table.xcf")]
    assert listed.shard(2, 2).foreign == []


def test_without_recursion_subfolders_are_left_alone(folders: Folders) -> None:
    photos, trimaps, out = folders
    assert set(pairs(find_jobs(photos, out, trimaps=str(trimaps), recursive=False))) == {"a.png", "b.png"}


def test_jobs_come_in_the_order_people_count(tmp_path: Path) -> None:
    photos, trimaps, out = make_folders(tmp_path, ["p10.png", "p9.png", "p1.png"])
    listed = find_jobs(photos, out, trimaps=str(trimaps))
    assert [job.name for job in listed.jobs] == ["p1.png", "p9.png", "p10.png"]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("flat/{stem}.png", "flat/cat.png"),
        ("flat/{stem}", "flat/cat.tif"),
        ("flat/{stem}_trimap", "flat/cat_trimap.png"),
        ("tree/{dir}/{name}.png", "tree/sub/cat.jpg.png"),
        ("same/{name}", "same/cat.jpg"),
    ],
)
def test_a_pattern_finds_trimaps(tmp_path: Path, pattern: str, name: str) -> None:
    photo = write_photo(tmp_path / "photos/sub/cat.jpg")
    write_trimap(tmp_path / name)
    listed = find_jobs(photo.parents[1], tmp_path / "out", trimaps=str(tmp_path / pattern))
    assert list(pairs(listed)) == ["sub/cat.jpg"], reasons(listed)


def test_a_stem_that_looks_like_a_suffix_is_not_taken_for_that_of_a_pattern(tmp_path: Path) -> None:
    for name in ("cat.jpg.png", "dog.png.jpg"):
        write_photo(tmp_path / "photos" / name)
    for name in ("cat.jpg.png", "dog.png", "dog.png.png"):
        write_trimap(tmp_path / "trimaps" / name)
    listed = find_jobs(tmp_path / "photos", tmp_path / "out", trimaps=str(tmp_path / "trimaps/{stem}"))
    assert pairs(listed) == {
        "cat.jpg.png": str(tmp_path / "trimaps/cat.jpg.png"),
        "dog.png.jpg": str(tmp_path / "trimaps/dog.png.png"),
    }


def test_trimaps_beside_the_photos_are_not_taken_for_photos(tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/sub/cat.jpg")
    write_trimap(tmp_path / "photos/sub/cat_trimap.png")
    write_photo(tmp_path / "photos/dog.jpg")
    for trimaps in (tmp_path / "photos", tmp_path / "photos/{dir}/{stem}_trimap.png"):
        listed = find_jobs(tmp_path / "photos", tmp_path / "out", trimaps=str(trimaps))
        assert pairs(listed) == {"sub/cat.jpg": str(tmp_path / "photos/sub/cat_trimap.png")}
        assert list(reasons(listed)) == ["dog.jpg"]


def test_a_photo_is_never_its_own_trimap(tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/dog.png")
    listed = find_jobs(tmp_path / "photos", tmp_path / "out", trimaps=str(tmp_path / "photos/{stem}.png"))
    assert "has no trimap" in reasons(listed)["dog.png"]


def test_missing_and_ambiguous_trimaps_have_failed_and_left_over_ones_are_told(folders: Folders) -> None:
    photos, trimaps, out = folders
    (trimaps / "a.png").unlink()
    write_trimap(trimaps / "b.tif")
    write_trimap(trimaps / "sub/nobody.png")
    listed = find_jobs(photos, out, trimaps=str(trimaps))
    assert list(pairs(listed)) == ["sub/c.png"]
    assert reasons(listed)["a.png"].startswith(f"{photos / 'a.png'} has no trimap in {trimaps}; ")
    assert f"several trimaps: {trimaps / 'b.png'}, {trimaps / 'b.tif'}; keep one" in reasons(listed)["b.png"]
    assert listed.unused == [str(trimaps / "sub/nobody.png")]


def test_outputs_that_clash_fail_both_photos(folders: Folders) -> None:
    photos, trimaps, out = folders
    write_photo(photos / "a.jpg")
    listed = find_jobs(photos, out, trimaps=str(trimaps))
    assert set(pairs(listed)) == {"b.png", "sub/c.png"}
    web = find_jobs(photos, out, trimaps=str(trimaps), kinds=["web"], patterns={"web": "{stem}.png"})
    assert reasons(web)["a.png"] == f"{out / 'a.png'} is also the output of a.jpg; change file in [[deliver]]"
    told = f"{out / 'a_alpha.png'} is also the output of a.png; give --name {{dir}}/{{name}}_{{what}}.png"
    assert reasons(listed)["a.jpg"] == told
    assert "is also the output of a.jpg; " in reasons(listed)["a.png"]
    both = find_jobs(photos, out, trimaps=str(trimaps), pattern="{dir}/{name}_{what}.png")
    assert (len(both.jobs), both.failed) == (4, [])


def test_outputs_among_the_inputs_are_refused(folders: Folders) -> None:
    photos, trimaps, _ = folders
    for out in (photos, photos / "mattes", trimaps / "x", photos / "sub/../mattes"):
        with pytest.raises(InputError, match=r"lies in .*name a folder outside"):
            find_jobs(photos, out, trimaps=str(trimaps))
    assert len(find_jobs(photos, photos / "mattes", trimaps=str(trimaps), recursive=False).jobs) == 2
    listed = find_jobs(photos, photos.parent, trimaps=str(trimaps), pattern="photos/{stem}_{what}.png")
    assert all("which holds inputs" in reason for reason in reasons(listed).values())
    assert listed.jobs == []


def test_an_output_that_is_an_input_has_failed(folders: Folders, tmp_path: Path) -> None:
    photos, trimaps, _ = folders
    (tmp_path / "out").symlink_to(trimaps)
    listed = find_jobs(photos, tmp_path, trimaps=str(tmp_path / "trimaps/{dir}/{stem}.png"), pattern="out/{stem}.png")
    assert "is an input of this run" in reasons(listed)["a.png"]


def test_what_only_looks_like_a_photo_has_failed(folders: Folders) -> None:
    photos, trimaps, out = folders
    (photos / "folder.jpg").mkdir()
    (photos / "sub/back").symlink_to(photos)
    (photos / "circle.png").symlink_to(photos / "circle.png")
    (photos / "circle").symlink_to(photos / "circle")
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    os.mkfifo(photos / "pipe.png")
    (photos / "notes.txt").write_text("no picture")
    (photos / ".hidden.png").write_text("no picture")
    listed = find_jobs(photos, out, trimaps=str(trimaps))
    assert set(pairs(listed)) == {"a.png", "b.png", "sub/c.png"}
    found = reasons(listed)
    assert set(found) == {"folder.jpg", "sub/back", "circle.png", "circle", "gone.png", "pipe.png"}
    assert "is a folder with a picture's name" in found["folder.jpg"]
    assert "is a link back to" in found["sub/back"]
    assert "it is a link in a circle" in found["circle.png"]
    assert "No such file" in found["gone.png"]
    assert "is not a regular file" in found["pipe.png"]


def test_links_to_folders_elsewhere_are_followed(folders: Folders, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    write_photo(tmp_path / "elsewhere/d.png")
    write_trimap(trimaps / "linked/d.png")
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    assert "linked/d.png" in pairs(find_jobs(photos, out, trimaps=str(trimaps)))


def test_folders_that_are_none_are_named(folders: Folders, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    empty = tmp_path / "empty"
    empty.mkdir()
    for images, where, target, told in [
        (tmp_path / "nowhere", trimaps, out, "nowhere does not exist; name a folder of photos"),
        (photos / "a.png", trimaps, out, "a.png is a file; name a folder of photos"),
        (photos, tmp_path / "nowhere", out, "nowhere is not a folder; name the trimaps' folder"),
        (photos, trimaps, photos / "a.png", "a.png is a file; name a folder for the outputs"),
        (empty, trimaps, out, "empty holds no pictures; check the folder"),
    ]:
        with pytest.raises(InputError, match=told):
            find_jobs(images, target, trimaps=str(where))
    with pytest.raises(UsageError, match=r"has \{star\}, which has no meaning; use \{dir\}, \{stem\}, \{name\}"):
        find_jobs(photos, out, trimaps="{star}.png")


# --- cores, garbage masks and backgrounds -----------------------------------------------------------------------------


def certain(listed: JobList) -> dict[str, tuple[str | None, str | None]]:
    """The core and garbage mask of each photo."""
    makings = {job.name: job.making for job in listed.jobs}
    return {name: (making.core, making.garbage) for name, making in makings.items() if making is not None}


def keyed(images: Path, out: Path, **places: object) -> JobList:
    """Jobs whose trimaps are made from the photos alone."""
    certain = {name: None if where is None else str(where) for name, where in places.items()}
    return find_jobs(images, out, trimaps=None, sources=Sources(making=Making(key="auto"), **certain))


def test_in_the_photos_own_folder_only_names_with_the_ending_are_cores_and_garbage(folders: Folders) -> None:
    photos, _, out = folders
    write_trimap(photos / "a_garbage.png")
    write_trimap(photos / "sub/c_core.png")
    write_trimap(photos / "nobody_core.png")
    listed = keyed(photos, out, cores=photos, garbages=photos)
    assert certain(listed) == {
        "a.png": (None, str(photos / "a_garbage.png")),
        "b.png": (None, None),
        "sub/c.png": (str(photos / "sub/c_core.png"), None),
    }
    assert listed.strays == {"core mask": [str(photos / "nobody_core.png")]}
    assert listed.shard(2, 2).strays == {}


def test_a_photo_and_its_mask_are_not_its_garbage(folders: Folders) -> None:
    photos, masks, out = folders
    with pytest.raises(InputError, match=r"no photo in .* has a garbage mask in .*/\{stem\}.png; check the names"):
        keyed(photos, out, garbages=photos / "{stem}.png")
    write_trimap(masks / "a_garbage.png")
    making = Sources(making=Making(), garbages=str(masks))
    listed = find_jobs(photos, out, trimaps=str(masks), sources=making)
    assert certain(listed)["a.png"] == (None, str(masks / "a_garbage.png"))
    assert certain(listed)["b.png"] == (None, None)
    assert (listed.unused, listed.strays) == ([], {})


def test_a_photo_is_not_its_own_background(folders: Folders) -> None:
    photos, trimaps, out = folders
    write_photo(photos / "a_background.jpg")
    listed = find_jobs(photos, out, trimaps=str(trimaps), background=str(photos))
    assert {job.name: job.background for job in listed.jobs} == {"a.png": str(photos / "a_background.jpg")}
    assert "has no background in" in reasons(listed)["b.png"]
    assert "; add one called b_background, or take the photo out" in reasons(listed)["b.png"]


def test_files_in_a_subfolder_of_the_photos_are_not_taken_for_photos(folders: Folders, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    for name in ("a.png", "sub/c.png", "sub/nobody.png"):
        write_trimap(photos / "garb" / name)
    listed = keyed(photos, out, garbages=photos / "garb")
    assert set(pairs(listed)) == {"a.png", "b.png", "sub/c.png"}
    assert listed.strays == {"garbage mask": [str(photos / "garb/sub/nobody.png")]}
    (photos / "garb/sub/nobody.png").unlink()
    listed = keyed(photos, out, garbages=photos / "garb/{dir}/{stem}.png")
    assert set(pairs(listed)) == {"a.png", "b.png", "sub/c.png"}
    known = Alphas(known=str(photos / "garb"))
    assert set(pairs(find_jobs(photos, out, trimaps=str(trimaps), alphas=known))) == {"a.png", "b.png", "sub/c.png"}
    (tmp_path / "b.png").write_bytes((photos / "b.png").read_bytes())
    above = keyed(photos, out, garbages=tmp_path)  # a folder around the photos holds them as photos
    assert certain(above)["b.png"] == (None, str(tmp_path / "b.png"))


def test_cores_for_no_photo_at_all_are_refused_and_those_left_over_told(folders: Folders, tmp_path: Path) -> None:
    photos, _, out = folders
    write_trimap(tmp_path / "cores/nobody.png")
    for where in (tmp_path / "cores", tmp_path / "coers/{stem}.png"):
        with pytest.raises(InputError, match=r"has a core mask in .*co.*; check the names, or leave --cores out"):
            keyed(photos, out, cores=where)
    write_trimap(tmp_path / "cores/a.png")
    assert keyed(photos, out, cores=tmp_path / "cores").strays == {"core mask": [str(tmp_path / "cores/nobody.png")]}


def test_what_was_saved_beside_a_photo_is_not_a_photo(folders: Folders) -> None:
    photos, trimaps, out = folders
    saved = [photos / "a_alpha.png", photos / "a_cutout.webp", photos / "sub/c_trimap.png"]
    for path in saved:
        write_photo(path)
    write_photo(photos / "sub/b_alpha.png")  # b lies in another folder
    listed = find_jobs(photos, out, trimaps=str(trimaps))
    assert set(pairs(listed)) == {"a.png", "b.png", "sub/c.png"}
    assert set(reasons(listed)) == {"sub/b_alpha.png"}
    assert listed.saved == [str(path) for path in saved]
    assert listed.shard(2, 2).saved == []
    assert keyed(photos, out).saved == [str(path) for path in saved]
    write_trimap(trimaps / "a_cutout.png")  # whoever gives it a trimap means it as a photo
    assert set(pairs(find_jobs(photos, out, trimaps=str(trimaps)))) == {"a.png", "a_cutout.webp", "b.png", "sub/c.png"}


@pytest.mark.parametrize("what", ["trimap", "alpha"])
def test_what_was_saved_beside_a_photo_has_no_trimap_by_the_photos_own(folders: Folders, what: str) -> None:
    photos, trimaps, out = folders
    alphas = Alphas() if what == "alpha" else None
    (trimaps / "a.png").rename(trimaps / f"a_{what}.png")  # that of a, which has the plain name of the saved file
    saved = write_photo(photos / f"a_{what}.png")
    listed = find_jobs(photos, out, trimaps=str(trimaps), alphas=alphas)
    assert pairs(listed)["a.png"] == str(trimaps / f"a_{what}.png")
    assert set(pairs(listed)) == {"a.png", "b.png", "sub/c.png"}
    assert (listed.saved, listed.failed) == ([str(saved)], [])
    own = write_trimap(trimaps / f"a_{what}_{what}.png")
    listed = find_jobs(photos, out, trimaps=str(trimaps), alphas=alphas)
    assert (pairs(listed)[f"a_{what}.png"], listed.saved) == (str(own), [])


def test_outputs_whose_names_differ_in_capitals_are_one_file_where_the_disk_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, trimaps, out = make_folders(tmp_path, ["Cat.png", "dog.png"])
    write_photo(photos / "cat.tif")
    write_trimap(trimaps / "cat.png")
    pattern = f"{trimaps}/{{stem}}.png"
    assert reasons(find_jobs(photos, out, trimaps=pattern)) == {}
    asked: list[Path] = []
    monkeypatch.setattr(jobs, "folds_case", lambda folder: not asked.append(folder))
    found = reasons(find_jobs(photos, out, trimaps=pattern))
    assert asked == [out]
    assert found == {
        "Cat.png": f"{out / 'Cat_alpha.png'} is also the output of cat.tif; give --name {{dir}}/{{name}}_{{what}}.png",
        "cat.tif": f"{out / 'cat_alpha.png'} is also the output of Cat.png; give --name {{dir}}/{{name}}_{{what}}.png",
    }
    assert reasons(find_jobs(photos, out, trimaps=pattern, pattern="{dir}/{name}_{what}.png")) == {}
    write_photo(photos / "CAT.tif")
    write_trimap(trimaps / "CAT.png")
    found = reasons(find_jobs(photos, out, trimaps=pattern, pattern="{dir}/{name}_{what}.png"))
    assert found["CAT.tif"].endswith("and the output of cat.tif are one file on its disk; rename one of the photos")
