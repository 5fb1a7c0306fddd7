from pathlib import Path

import pytest

from mattecli.errors import InputError, UsageError
from mattecli.training.config import CropStage, TrainConfig, read_config
from mattecli.training.ranges import _ABOVE_0, _AT_LEAST, _BELOW_1, _values

EXAMPLES = Path(__file__).parents[2] / "examples"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "train.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "")) == TrainConfig()


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


def test_every_number_of_a_config_has_a_range() -> None:
    free = {"crops.size"}  # a rule of its own
    numbers = {
        key.partition("[")[0] + key.partition("]")[2] for key, value in _values(TrainConfig()) if _is_number(value)
    }
    assert numbers | {"run.minutes"} == free | set(_AT_LEAST) | set(_ABOVE_0) | set(_BELOW_1)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[optimiser]\nlr = 1", "optimiser is no key"),
        ("[optimizer]\nrate = 1", "optimizer.rate is no key"),
        ("[data]\nnoises = 1", "data.noises is no key"),
        ('[optimizer]\nlr = "fast"', "optimizer.lr is a string but must be a number"),
        ("[run]\nsteps = 1.5", "run.steps is a number but must be a whole number"),
        ("[run]\nsteps = true", "run.steps is true or false but must be a whole number"),
        ('[run]\nvariant = "both"', "run.variant is 'both' but must be one of 'shared', 'unshared'"),
        ('[run]\nupsampling = "cubic"', "run.upsampling is 'cubic' but must be one of 'affinity', "),
        ("[optimizer]\nbetas = [0.9]", "optimizer.betas has 1 values but must have 2"),
        ("[[crops]]\nsize = [320, 'x']", "crops[0].size[1] is a string"),
        ("[[crops]]\nsize = 300", "crops.size must be multiples of 16"),
        ("[[crops]]\nuntil = 0.5\nbatch = 2\n[[crops]]\nbatch = 1", "crops.batch must be 2 or more as long as"),
        ("[[crops]]\nuntil = 0.5", "crops' until must rise and end at 1.0"),
        ("[data]\nmerge = 2", "data.merge = 2"),
        ("workers = 2", "write it under [data]"),
        ("run = 3", "run is a whole number but must be a table"),
        ("[run", "is no TOML"),
        ("[loss]\nalpha = 0\ncomposition = 0\nlaplacian = 0", "loss needs a weight"),
        ("[run]\nseed = -1", "run.seed is -1 but must be from 0 to"),
        ("[run]\nsteps = 0", "run.steps is 0 but must be 1 or more"),
        ("[run]\nsteps = 9999999999999999999", "run.steps has more than 64 bits"),
        ("[run]\nminutes = 0", "run.minutes is 0.0 but must be above 0"),
        ("[run]\nminutes = inf", "run.minutes is inf but must be a finite number"),
        ("[run]\nsave_minutes = -1", "run.save_minutes is -1.0 but must be 0 or more"),
        ("[run]\nbad_steps = 0", "run.bad_steps is 0 but must be 1 or more"),
        (
            '[run]\nfolder = "~nobody-of-this-name/x"',
            "run.folder is '~nobody-of-this-name/x', but there is no such home",
        ),
        ('[data]\nown = ["~nobody-of-this-name/x"]', "data.own is '~nobody-of-this-name/x', but there is no such home"),
        ("[data]\nworkers = -1", "data.workers is -1 but must be from 0 to 1024"),
        ("[data]\nbank = -1", "data.bank = -1 is negative"),
        ("[data]\nnoise = nan", "data.noise is nan but must be a finite number"),
        ("[[crops]]\nsize = 0", "crops.size must be multiples of 16"),
        ("[[crops]]\nsize = 100000", "crops.size must be multiples of 16, the network's stride, up to 4096"),
        ("[[crops]]\nsize = []", "crops.size must be multiples of 16"),
        ("[[crops]]\nbatch = 0", "crops[0].batch is 0 but must be from 1 to"),
        ("[[crops]]\naccumulate = 0", "crops[0].accumulate is 0 but must be from 1 to"),
        (
            "[[crops]]\nuntil = 0.5\n[[crops]]\nuntil = 1.5",
            "crops[1].until is 1.5 but must be above 0 and no more than 1",
        ),
        ("[[crops]]\nuntil = 0.5\n[[crops]]\nuntil = 0.5", "crops' until must rise and end at 1.0"),
        ("crops = []", "crops needs one stage or more"),
        ("[optimizer]\nlr = 0", "optimizer.lr is 0.0 but must be above 0"),
        ("[optimizer]\nlr = nan", "optimizer.lr is nan but must be a finite number"),
        ("[optimizer]\nmuon_lr = -1", "optimizer.muon_lr is -1.0 but must be above 0"),
        ("[optimizer]\nmuon_momentum = 1", "optimizer.muon_momentum is 1.0 but must be 0 or more and below 1"),
        ("[optimizer]\nbetas = [0.9, 1.0]", "optimizer.betas is 1.0 but must be 0 or more and below 1"),
        ("[optimizer]\neps = 0", "optimizer.eps is 0.0 but must be above 0"),
        ("[optimizer]\nweight_decay = -1", "optimizer.weight_decay is -1.0 but must be 0 or more"),
        ("[optimizer]\nencoder_factor = -1", "optimizer.encoder_factor is -1.0 but must be 0 or more"),
        ("[optimizer]\ndecoder_factor = -1", "optimizer.decoder_factor is -1.0 but must be 0 or more"),
        ("[optimizer]\nwarmup = -1", "optimizer.warmup is -1 but must be 0 or more"),
        ("[optimizer]\nclip = -1", "optimizer.clip is -1.0 but must be 0 or more"),
        ("[optimizer]\ndrops = [0.5, 2]", "optimizer.drops is 2.0 but must be from 0 to 1"),
        ("[optimizer]\ndrop_factor = 2", "optimizer.drop_factor is 2.0 but must be above 0 and no more than 1"),
        ("[loss]\nlaplacian = -1", "loss.laplacian is -1.0 but must be 0 or more"),
        ("[loss]\nknown = -1", "loss.known is -1.0 but must be 0 or more"),
        ("[ema]\ndecay = 1", "ema.decay is 1.0 but must be 0 or more and below 1"),
        ("[norms]\nfreeze = 1.5", "norms.freeze is 1.5 but must be from 0 to 1"),
        ("[validation]\nevery = 0", "validation.every is 0 but must be 1 or more"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_config(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


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
