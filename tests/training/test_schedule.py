import math

import pytest

from mattecli.training.config import CropStage, OptimizerConfig
from mattecli.training.schedule import CropPlan, Schedule, ema_decay, learning_rate_factor

STAGES = (CropStage(until=0.5, size=(320,), batch=8), CropStage(size=(320, 512), batch=4))


def test_progress_follows_whichever_of_steps_and_time_is_further() -> None:
    table = Schedule(steps=100, minutes=10)
    assert table.progress(20, 60) == pytest.approx(0.2)
    assert table.progress(20, 300) == pytest.approx(0.5)
    assert table.progress(20, 600) == 1.0
    assert table.progress(100, 1) == 1.0


def test_time_reserved_for_the_end_makes_the_schedule_end_earlier() -> None:
    assert Schedule(steps=10**6, minutes=10).progress(0, 540, reserve=60) == 1.0


def test_a_resumed_run_with_other_limits_goes_on_from_its_progress_to_one() -> None:
    first = Schedule(steps=100, minutes=10)
    longer = first.with_limits(300, 20, progress=0.5, step=50, seconds=300)
    assert longer.progress(50, 300) == 0.5
    assert longer.progress(175, 300) == pytest.approx(0.75)
    assert longer.progress(50, 750) == pytest.approx(0.75)
    assert longer.progress(300, 301) == 1.0


def test_a_resumed_run_with_the_same_limits_keeps_its_schedule() -> None:
    table = Schedule(steps=100)
    assert table.with_limits(100, None, progress=0.3, step=30, seconds=5) is table


def test_cosine_warms_up_and_ends_at_zero() -> None:
    config = OptimizerConfig(warmup=10, schedule="cosine")
    assert learning_rate_factor(config, progress=0.0, step=0) == pytest.approx(0.1)
    assert learning_rate_factor(config, progress=0.0, step=9) == 1.0
    assert learning_rate_factor(config, progress=0.25, step=50) == pytest.approx(0.5 + math.sqrt(0.5) / 2)
    assert learning_rate_factor(config, progress=1.0, step=100) == 0.0


def test_steps_drop_the_rate_at_their_shares() -> None:
    config = OptimizerConfig(warmup=0, schedule="steps")
    factors = [learning_rate_factor(config, progress=p, step=0) for p in (0.66, 0.67, 0.86, 0.87)]
    assert factors == pytest.approx([1.0, 0.1, 0.1, 0.01])


def test_each_batch_takes_the_stage_of_its_own_step() -> None:
    plan = CropPlan(STAGES, lead=5)
    for step in range(96):
        plan.decide(step, lambda k: k / 100)
    assert [plan.stage(k).batch for k in (0, 49, 50, 100)] == [8, 8, 4, 4]
    assert [plan.size(k) for k in (49, 50, 51)] == [320, 320, 512]


def test_a_decision_once_made_stays_though_time_runs_faster() -> None:
    plan = CropPlan(STAGES, lead=5)
    plan.decide(0, lambda _: 0.1)
    plan.decide(1, lambda _: 0.9)
    assert [plan.stage(k).batch for k in (5, 6)] == [8, 4]


def test_a_plan_from_a_checkpoint_is_the_uninterrupted_one() -> None:
    whole = CropPlan(STAGES, lead=5)
    for step in range(90):
        whole.decide(step, lambda k: k / 100)
        if step == 47:
            saved = list(whole.starts)
    resumed = CropPlan(STAGES, lead=5, starts=saved)
    for step in range(47, 90):
        resumed.decide(step, lambda k: k / 100)
    assert resumed.starts == whole.starts == [(0, 0), (50, 1)]


def test_the_average_follows_fast_at_first() -> None:
    assert ema_decay(0.9995, 0) == pytest.approx(0.1)
    assert ema_decay(0.9995, 10**6) == 0.9995
    assert ema_decay(0.0, 5) == 0.0
