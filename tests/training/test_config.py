import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mattecli.errors import InputError, UsageError
from mattecli.training.config import CropStage, LossConfig, OptimizerConfig, RunConfig, TrainConfig, read_config
from mattecli.training.data.config import DataConfig

EXAMPLES = Path(__file__).parents[2] / "examples"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "train.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "")) == TrainConfig()


def test_a_file_may_begin_with_the_mark_that_windows_writes(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "\ufeff[run]\nseed = 7\n")).run.seed == 7


def test_values_of_every_kind_are_read(tmp_path: Path) -> None:
    config = read_config(
        written(
            tmp_path,
            """
            [run]
            minutes = 30
            variant = "unshared"
            [data]
            workers = 3
            zoom = [1, 2]
            kinds = { hair = 2 }
            [[crops]]
            until = 0.25
            size = 320
            batch = 8
            [[crops]]
            size = [320, 512]
            batch = 4
            [optimizer]
            betas = [0.9, 0.95]
            """,
        )
    )
    assert config.run.minutes == 30.0
    assert config.run.variant == "unshared"
    assert config.workers == 3
    assert config.data.zoom == (1.0, 2.0)
    assert config.data.kinds == {"hair": 2.0}
    assert config.crops == (CropStage(until=0.25, size=(320,), batch=8), CropStage(size=(320, 512), batch=4))
    assert config.optimizer.betas == (0.9, 0.95)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = '[run]\nfolder = "out"\n[data]\nphotos = ["../photos", "/abs"]\ncache = "c"\n[validation]\nfolder = "val"'
    config = read_config(written(tmp_path, text))
    assert config.run.folder == tmp_path / "out"
    assert config.validation.folder == tmp_path / "val"
    assert config.data.photos == (str(tmp_path / "../photos"), "/abs")
    assert config.data.cache == str(tmp_path / "c")


def test_a_tilde_is_the_users_home_wherever_a_path_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    config = read_config(
        written(
            tmp_path,
            """
            [run]
            folder = "~/run"
            start = "~/start.safetensors"
            [data]
            photos = ["~/photos"]
            foregrounds = ["~/cut"]
            own = ["~/own", "own"]
            cache = "~/cache"
            [validation]
            folder = "~/val"
            """,
        )
    )
    home = tmp_path / "me"
    assert (config.run.folder, config.run.start) == (home / "run", home / "start.safetensors")
    assert config.validation.folder == home / "val"
    assert (config.data.photos, config.data.foregrounds) == ((str(home / "photos"),), (str(home / "cut"),))
    assert config.data.own == (str(home / "own"), str(tmp_path / "own"))
    assert config.data.cache == str(home / "cache")


def numbers(tables: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Table, key and value of every number among the settings, also those in lists."""
    found = []
    for table, keys in tables.items():
        for key, value in keys.items():
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(first, (int, float)) and not isinstance(first, bool):
                found.append((table, key, value))
    return found


def test_every_number_has_a_range_that_starts_at_0_or_above(tmp_path: Path) -> None:
    tables = TrainConfig().model_dump(mode="json")
    tables["data"]["workers"] = tables.pop("workers")
    tables["run"]["minutes"] = 1.0
    tables["crops"] = tables["crops"][0]
    found = numbers(tables)
    assert len(found) > 60
    for table, key, value in found:
        negative = json.dumps([-1 for _ in value] if isinstance(value, list) else -1)
        path = written(tmp_path, f"{'[[crops]]' if table == 'crops' else f'[{table}]'}\n{key} = {negative}\n")
        with pytest.raises(UsageError) as caught:
            read_config(path)
        name = f"crops[0].{key}" if table == "crops" else f"{table}.{key}"
        assert str(caught.value).startswith(f"{path}: {name}"), str(caught.value)
        assert "is -1 but must be" in str(caught.value)


def test_a_changed_copy_is_checked_and_the_original_stays() -> None:
    config = TrainConfig()
    changed = config.replace(run=config.run.replace(steps=7), workers=2)
    assert (changed.run.steps, changed.workers, changed.run.seed) == (7, 2, 0)
    assert (config.run.steps, config.workers) == (100_000, 0)
    with pytest.raises(UsageError, match=r"^run\.steps is 0 but must be a whole number of 1 or more; change it$"):
        config.run.replace(steps=0)
    with pytest.raises(UsageError, match=r"^run\.step is not a key of a train\.toml; known here are folder, seed"):
        config.run.replace(step=1)
    with pytest.raises(UsageError, match=r"^data\.workers is -1 but must be a whole number from 0 to 1024"):
        config.replace(workers=-1)


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().run.steps = 3  # type: ignore[misc]


def test_paths_given_in_code_stay_as_they_are() -> None:
    assert RunConfig(folder=Path("a/b")).folder == Path("a/b")
    assert DataConfig(photos=("a",), cache="c").photos == ("a",)


def test_settings_go_to_worker_processes_and_come_back_equal() -> None:
    config = TrainConfig(data=DataConfig(kinds={"hair": 2.0}, photos=("a", "b")))
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[optimiser]\nlr = 1", "optimiser is not a key of a train.toml; known here are run, data, workers, crops,"),
        ("[optimizer]\nrate = 1", "optimizer.rate is not a key of a train.toml; known here are name, lr, "),
        ("[data]\nnoises = 1", "data.noises is not a key"),
        ('[optimizer]\nlr = "fast"', 'optimizer.lr is "fast" but must be a number above 0; change it'),
        ("[run]\nsteps = 1.5", "run.steps is 1.5 but must be a whole number of 1 or more"),
        ("[run]\nsteps = true", "run.steps is true but must be a whole number of 1 or more"),
        ('[run]\nvariant = "both"', 'run.variant is "both" but must be one of "shared", "unshared"'),
        ('[run]\nupsampling = "cubic"', 'run.upsampling is "cubic" but must be one of "affinity", "nearest", '),
        ("[run]\nfolder = 3", "run.folder is 3 but must be a path in quotes"),
        ("[data]\nphotos = [3]", "data.photos[0] is 3 but must be text in quotes"),
        ("[data]\ncache = 3", "data.cache is 3 but must be text in quotes"),
        ("[data]\nkinds = 3", "data.kinds is 3 but must be a table"),
        ('[data]\nkinds = { hair = "x" }', 'data.kinds.hair is "x" but must be a number'),
        ("[precision]\ncompile = 1", "precision.compile is 1 but must be true or false"),
        ("[optimizer]\nbetas = [0.9]", "optimizer.betas is [0.9] but must be a list of 2 values"),
        ("[optimizer]\nbetas = [0.9, 0.9, 0.9]", "optimizer.betas is [0.9, 0.9, 0.9] but must be a list of 2 values"),
        ("[optimizer]\nbetas = 0.9", "optimizer.betas is 0.9 but must be a list of 2 values"),
        ("[[crops]]\nsize = [320, 'x']", 'crops[0].size[1] is "x" but must be a multiple of 16 from 16 to 4096'),
        ("[[crops]]\nsize = 300", "crops[0].size[0] is 300 but must be a multiple of 16 from 16 to 4096"),
        ("[[crops]]\nuntil = 0.5\nbatch = 2\n[[crops]]\nbatch = 1", "crops.batch must be 2 or more while norms"),
        ("[[crops]]\nuntil = 0.5", "until must rise from one [[crops]] to the next and end at 1.0"),
        ("[data]\nmerge = 2", "data.merge is 2 but must be a number from 0 to 1"),
        ("[data]\nzoom = [2, 1]", "data.zoom is [2, 1] but must be two numbers, the lower one first"),
        ("[data]\nzoom = [1, 65]", "data.zoom[1] is 65 but must be a number above 0 and up to 64"),
        ("[data]\nprocedural = 0", "every origin of foregrounds has share 0 or no folder; raise data.procedural"),
        ("workers = 2", "write it under [data]"),
        ("run = 3", "run is 3 but must be a table; write [run]"),
        ("crops = 3", "crops is 3 but must be a list of tables"),
        ("crops = [3]", "crops[0] is 3 but must be a table; write [[crops]]"),
        ("data = 3", "data is 3 but must be a table; write [data]"),
        ("[run", "is not a TOML file"),
        ("[loss]\nalpha = 0\ncomposition = 0\nlaplacian = 0", "loss needs a weight above 0"),
        ("[run]\nseed = -1", "run.seed is -1 but must be a whole number of 0 or more"),
        ("[run]\nsteps = 9999999999999999999", "run.steps is 9999999999999999999 but must be a whole number from 1 to"),
        ("[run]\nminutes = 0", "run.minutes is 0 but must be a number above 0"),
        ("[run]\nminutes = inf", "run.minutes is inf but must be a finite number above 0"),
        ("[run]\nsave_minutes = -1", "run.save_minutes is -1 but must be a number of 0 or more"),
        (
            '[run]\nfolder = "~nobody-of-this-name/x"',
            'run.folder is "~nobody-of-this-name/x" but there is no such',
        ),
        ('[data]\nown = ["~nobody-of-this-name/x"]', 'data.own[0] is "~nobody-of-this-name/x" but there is no such'),
        ("[data]\nworkers = -1", "data.workers is -1 but must be a whole number from 0 to 1024"),
        ("[data]\nbank = -1", "data.bank is -1 but must be a whole number from 0 to 2147483648"),
        ("[data]\nnoise = nan", "data.noise is nan but must be a finite number from 0 to 1"),
        ("[[crops]]\nsize = []", "crops[0].size is [] but must be a list with at least 1 value"),
        ("[[crops]]\nbatch = 0", "crops[0].batch is 0 but must be a whole number from 1 to 4096"),
        (
            "[[crops]]\nuntil = 0.5\n[[crops]]\nuntil = 1.5",
            "crops[1].until is 1.5 but must be a number above 0 and up to 1",
        ),
        ("[[crops]]\nuntil = 0.5\n[[crops]]\nuntil = 0.5", "until must rise from one [[crops]] to the next"),
        ("crops = []", "crops needs one stage or more; write [[crops]]"),
        ("[optimizer]\nmuon_momentum = 1", "optimizer.muon_momentum is 1 but must be a number from 0 to below 1"),
        ("[optimizer]\nbetas = [0.9, 1.0]", "optimizer.betas[1] is 1 but must be a number from 0 to below 1"),
        ("[optimizer]\ndrops = [0.5, 2]", "optimizer.drops[1] is 2 but must be a number from 0 to 1"),
        ("[loss]\nsoft = -1", "loss.soft is -1 but must be a number of 0 or more"),
        ("[loss]\novershoot = -1", "loss.overshoot is -1 but must be a number of 0 or more"),
        ('[loss]\nmean = "crops"', 'loss.mean is "crops" but must be one of "pictures", "pixels"'),
        ("[run]\ndropout = 1", "run.dropout is 1 but must be a number from 0 to below 1"),
        ("[norms]\nfreeze = 1.5", "norms.freeze is 1.5 but must be a number from 0 to 1"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_config(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_value_stands_for_a_list_of_one(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, '[data]\nphotos = "p"\n[[crops]]\nsize = 64\n[optimizer]\ndrops = 0.5'))
    assert config.data.photos == (str(tmp_path / "p"),)
    assert config.crops == (CropStage(size=(64,)),)
    assert config.optimizer.drops == (0.5,)


def test_whole_numbers_stand_for_numbers(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, "[loss]\nalpha = 2\n[optimizer]\nlr = 1"))
    assert config.loss == LossConfig(alpha=2.0)
    assert config.optimizer == OptimizerConfig(lr=1.0)
    assert isinstance(config.optimizer.lr, float)


def test_norms_that_freeze_where_a_stage_begins_allow_single_crops_in_it(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text("[norms]\nfreeze = 0.7\n[[crops]]\nuntil = 0.3\n[[crops]]\nbatch = 1")
    config = read_config(path)
    assert config.norms.frozen_from <= config.crops[0].until


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml"):
        read_config(tmp_path / "none.toml")


def test_the_default_example_trains_without_any_folder_of_data() -> None:
    config = read_config(EXAMPLES / "train.toml")
    assert config.data.photos == config.data.foregrounds == config.data.own == ()
    assert min(min(stage.size) for stage in config.crops) >= 304
    assert config.validation.folder is None


def test_the_paper_example_is_the_authors_recipe() -> None:
    config = read_config(EXAMPLES / "paper.toml")
    assert config.run.steps == 180_000
    assert config.crops == (CropStage(size=(512,), batch=16),)
    assert (config.loss.alpha, config.loss.composition, config.loss.laplacian) == (0.5, 0.5, 0.0)
    assert (config.loss.charbonnier, config.loss.known) == (1e-6, 0.0)
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.decoder_factor) == ("adam", 1e-2, 1.0)
    assert config.optimizer.lr * config.optimizer.encoder_factor == pytest.approx(1e-4)
    assert config.optimizer.drops == pytest.approx((2 / 3, 13 / 15))
    assert config.optimizer.drop_factor == 0.1
    assert config.norms.freeze == 0.0
    assert config.data.origins() == {"own": 1.0}
