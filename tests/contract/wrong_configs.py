"""The train.toml files that `make_old_files` gave to 0.1.0: good ones, the toy run's, and wrong ones."""

from __future__ import annotations

# Every key of every table, and its types in every way of writing.
ACCEPTED = {
    "all_keys": """\
[run]
folder = "somewhere"
seed = 3
steps = 40
minutes = 30
variant = "unshared"
upsampling = "bilinear"
start = "~/start.safetensors"
log_every = 2
save_every = 7
save_minutes = 2
bad_steps = 4

[data]
workers = 0
photos = ["photos", "~/more", "/abs"]
foregrounds = ["../cutouts"]
own = ["own"]
cache = "cache"
procedural = 1
cutouts = 0.5
own_share = 0
kinds = { hair = 2, fur = 0.5, glass = 0 }
groups = { cat = 0.5, "b \\"c" = 1 }
bank = 2
foreground_size = 64
largest_side = 128
merge = 0.5
zoom = [0.5, 3]
whole = 0.125
rotation = 90
shear = 0.25
flip = 0
jitter = 2
near_colours = 0.25
linear = 1
photo_background = 0.5
background_blur = 0.25
camera = 0.75
noise = 0.25
jpeg = 0.125
blur = 0.5
sharpen = 0.0
resample = 1.0
grade = 0.75
dilation = [2, 20.5]
uneven = 0.5
loose = 0.25
loose_dilation = [25, 60]
brush = 0.5
no_sure_foreground = 0.125

[[crops]]
until = 0.25
size = [16, 32]
batch = 2
accumulate = 3

[[crops]]
until = 1
size = 48
batch = 2
accumulate = 1

[optimizer]
name = "muon"
lr = 1e-3
encoder_factor = 0
decoder_factor = 2
betas = [0.5, 0.75]
eps = 1e-9
weight_decay = 0
muon_lr = 0.05
muon_momentum = 0.5
warmup = 0
schedule = "steps"
drops = [0.25, 0.5, 0.75]
drop_factor = 0.5
clip = 0

[loss]
alpha = 0.5
composition = 1
laplacian = 0
gradient = 0.25
known = 0.125
charbonnier = 1e-6

[ema]
decay = 0

[norms]
freeze = 1

[validation]
folder = "validation"
every = 3
at_start = false

[precision]
dtype = "fp32"
channels_last = false
compile = false
""",
    "empty": "",
    "dotted": """\
run = { steps = 5, folder = "~/run" }
crops = [{ size = 64, batch = 2 }]
optimizer.drops = 0.5
optimizer.betas = [0, 0]
data.photos = "photos"
data.workers = 0
validation.at_start = true
""",
}

TOY = """\
[run]
folder = "{folder}"
steps = 6
log_every = 1
[[crops]]
until = 0.5
size = 16
batch = 2
[[crops]]
size = 32
batch = 2
[optimizer]
name = "{optimizer}"
lr = 1e-2
warmup = 2
[ema]
decay = 0.9
[precision]
dtype = "fp32"
"""

# Exit code, what the sentence must name, the file.
WRONG: list[tuple[int, str, str]] = [
    (2, "optimiser", "[optimiser]\nlr = 1"),
    (2, "optimizer.rate", "[optimizer]\nrate = 1"),
    (2, "run.step", "[run]\nstep = 4"),
    (2, "data.noises", "[data]\nnoises = 1"),
    (2, "crops.sizes", "[[crops]]\nsizes = 32"),
    (2, "loss.l1", "[loss]\nl1 = 1"),
    (2, "ema.rate", "[ema]\nrate = 0.9"),
    (2, "norms.thaw", "[norms]\nthaw = 0.9"),
    (2, "validation.path", '[validation]\npath = "v"'),
    (2, "precision.type", '[precision]\ntype = "fp32"'),
    (2, "steps", "steps = 4"),
    (2, "workers", "workers = 2"),
    (2, "run", "run = 3"),
    (2, "run", "[[run]]\nsteps = 3"),
    (2, "data", 'data = "photos"'),
    (2, "loss", "loss = [1, 2]"),
    (2, "crops", "crops = 3"),
    (2, "crops", "crops = []"),
    (2, "train.toml", "[run"),
    (2, "train.toml", "[run]\nsteps = 4\nsteps = 5"),
    (2, "train.toml", "[run]\nfolder = C:\\runs"),
    (2, "train.toml", "[run]\nsteps = "),
    (3, "train.toml", '[run]\nfolder = "caf\xe9"'),
    (2, "optimizer.lr", '[optimizer]\nlr = "fast"'),
    (2, "optimizer.lr", "[optimizer]\nlr = [1, 2]"),
    (2, "run.steps", "[run]\nsteps = 1.5"),
    (2, "run.steps", "[run]\nsteps = 100.0"),
    (2, "run.steps", "[run]\nsteps = true"),
    (2, "run.steps", '[run]\nsteps = "100"'),
    (2, "run.steps", "[run]\nsteps = 2026-01-01"),
    (2, "run.minutes", '[run]\nminutes = "ten"'),
    (2, "run.folder", "[run]\nfolder = 3"),
    (2, "run.start", "[run]\nstart = false"),
    (2, "run.variant", '[run]\nvariant = "both"'),
    (2, "run.variant", "[run]\nvariant = 3"),
    (2, "run.upsampling", '[run]\nupsampling = "cubic"'),
    (2, "optimizer.name", '[optimizer]\nname = "sgd"'),
    (2, "optimizer.schedule", '[optimizer]\nschedule = "linear"'),
    (2, "precision.dtype", '[precision]\ndtype = "fp16"'),
    (2, "precision.compile", "[precision]\ncompile = 1"),
    (2, "validation.at_start", '[validation]\nat_start = "yes"'),
    (2, "optimizer.betas", "[optimizer]\nbetas = [0.9]"),
    (2, "optimizer.betas", "[optimizer]\nbetas = 0.9"),
    (2, "optimizer.betas", "[optimizer]\nbetas = [0.9, 1.0]"),
    (2, "crops.size", "[[crops]]\nsize = [320, 'x']"),
    (2, "crops.size", "[[crops]]\nsize = 300"),
    (2, "crops.size", "[[crops]]\nsize = 0"),
    (2, "crops.size", "[[crops]]\nsize = []"),
    (2, "crops.size", "[[crops]]\nsize = 100000"),
    (2, "crops.size", "[[crops]]\nsize = 32.0"),
    (2, "crops.batch", "[[crops]]\nbatch = 0"),
    (2, "crops.batch", "[[crops]]\nuntil = 0.5\nbatch = 2\n[[crops]]\nbatch = 1"),
    (2, "crops.accumulate", "[[crops]]\naccumulate = 5000"),
    (2, "crops", "[[crops]]\nuntil = 0.5"),
    (2, "crops", "[[crops]]\nuntil = 0.5\n[[crops]]\nuntil = 0.5"),
    (2, "crops.until", "[[crops]]\nuntil = 0.5\n[[crops]]\nuntil = 1.5"),
    (2, "run.seed", "[run]\nseed = -1"),
    (2, "run.seed", "[run]\nseed = 9223372036854775807"),
    (2, "run.steps", "[run]\nsteps = 0"),
    (2, "run.steps", "[run]\nsteps = 9999999999999999999"),
    (2, "run.minutes", "[run]\nminutes = 0"),
    (2, "run.minutes", "[run]\nminutes = inf"),
    (2, "run.save_minutes", "[run]\nsave_minutes = -1"),
    (2, "run.log_every", "[run]\nlog_every = 0"),
    (2, "run.bad_steps", "[run]\nbad_steps = 0"),
    (2, "run.folder", '[run]\nfolder = "~nobody-of-this-name/x"'),
    (2, "data.own", '[data]\nown = ["~nobody-of-this-name/x"]'),
    (2, "data.photos", "[data]\nphotos = [1]"),
    (2, "data.cache", "[data]\ncache = 1"),
    (2, "data.workers", "[data]\nworkers = -1"),
    (2, "data.workers", "[data]\nworkers = 2000"),
    (2, "data.bank", "[data]\nbank = -1"),
    (2, "data.noise", "[data]\nnoise = nan"),
    (2, "data.merge", "[data]\nmerge = 2"),
    (2, "data.jitter", "[data]\njitter = 9"),
    (2, "data.foreground_size", "[data]\nforeground_size = 8"),
    (2, "data.zoom", "[data]\nzoom = [2, 1]"),
    (2, "data.zoom", "[data]\nzoom = [1, 2, 3]"),
    (2, "data.zoom", "[data]\nzoom = [0, 1]"),
    (2, "data.dilation", "[data]\ndilation = [1, 1000]"),
    (2, "data.procedural", "[data]\nprocedural = 0"),
    (2, "data.kinds", "[data]\nkinds = 3"),
    (2, "data.kinds.hair", '[data]\nkinds = { hair = "much" }'),
    (2, "optimizer.lr", "[optimizer]\nlr = 0"),
    (2, "optimizer.lr", "[optimizer]\nlr = nan"),
    (2, "optimizer.eps", "[optimizer]\neps = 0"),
    (2, "optimizer.muon_momentum", "[optimizer]\nmuon_momentum = 1"),
    (2, "optimizer.weight_decay", "[optimizer]\nweight_decay = -1"),
    (2, "optimizer.warmup", "[optimizer]\nwarmup = -1"),
    (2, "optimizer.drops", "[optimizer]\ndrops = [0.5, 2]"),
    (2, "optimizer.drop_factor", "[optimizer]\ndrop_factor = 2"),
    (2, "loss.laplacian", "[loss]\nlaplacian = -1"),
    (2, "loss", "[loss]\nalpha = 0\ncomposition = 0\nlaplacian = 0"),
    (2, "ema.decay", "[ema]\ndecay = 1"),
    (2, "norms.freeze", "[norms]\nfreeze = 1.5"),
    (2, "validation.every", "[validation]\nevery = 0"),
    (2, "data.kinds", "[data]\nkinds = { unicorn = 1 }"),
    (2, "data.kinds", "[data]\nkinds = { hair = -1 }"),
    (2, "data.groups", "[data]\ngroups = { cat = 1 }"),
    (3, "nowhere", '[data]\nphotos = ["nowhere"]'),
    (3, "nowhere", '[data]\nown = ["nowhere"]'),
    (4, "nowhere.safetensors", '[run]\nstart = "nowhere.safetensors"'),
    (3, "nowhere", '[validation]\nfolder = "nowhere"'),
]
