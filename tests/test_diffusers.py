"""One step of ours against one of diffusers' DDPMScheduler and DDIMScheduler, and whole
trajectories of the rules that remember.

Our t = 1 … T is their timestep t - 1; our ᾱ has index 0 for clean data, theirs a
`final_alpha_cumprod` of 1. Their sampler keeps its schedule in float32, where 1 - ᾱ_t/ᾱ_s loses
digits; ours computes it in float64. So `widened` gives their scheduler our betas in float64 before
it steps. Another test checks that their own float32 numbers agree as far as they can."""
import pytest
import torch
from diffusers import (
    DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

from denoising_diffusion.ddim import ddim_sample
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.sampling import final, logsnr_grid, p_sample, reverse_process, time_grid
from denoising_diffusion.schedules import cosine_beta_schedule, linear_beta_schedule
from denoising_diffusion.solvers import dpm_solver_rule, heun_rule, unipc_rule

T, SHAPE = 100, (4, 3, 6, 6)
SCHEDULES = dict(linear=linear_beta_schedule, cosine=cosine_beta_schedule)
PREDICTIONS = dict(noise="epsilon", start="sample", v="v_prediction")
TOLERANCE = dict(atol=1e-5, rtol=1e-5)
WALK = dict(atol=1e-4, rtol=1e-4)

all_schedules = pytest.mark.parametrize("schedule", SCHEDULES)
all_predictions = pytest.mark.parametrize("prediction", PREDICTIONS)
clipped_or_not = pytest.mark.parametrize("clip", [True, False], ids=["clipped", "unclipped"])


def times(clip):
    "Clipped at every t, unclipped for t < T"
    return range(1, T + 1 if clip else T)


def theirs(cls, betas, prediction, clip, **kwargs):
    return cls(num_train_timesteps=T, trained_betas=betas.tolist(),
               prediction_type=PREDICTIONS[prediction], clip_sample=clip, **kwargs)


def widened(scheduler, betas):
    "`scheduler` with its schedule in float64"
    scheduler.betas, scheduler.alphas = betas, 1 - betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, 0)
    scheduler.one = scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    return scheduler


def case(schedule, prediction, seed=0):
    "betas, our diffusion with a network of constant output, a noisy x, and that output"
    g = torch.Generator().manual_seed(seed)
    x, out = torch.randn(SHAPE, generator=g), torch.randn(SHAPE, generator=g)
    betas = SCHEDULES[schedule](T)
    diffusion = GaussianDiffusion(betas, SHAPE[1:], lambda x, t: out, prediction=prediction)
    return betas, diffusion, x, out


def step_noise(seed): return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def as_close(a, b): torch.testing.assert_close(a.float(), b.float(), **TOLERANCE)


@all_schedules
@all_predictions
@clipped_or_not
def test_ddpm_step(schedule, prediction, clip):
    betas, diffusion, x, out = case(schedule, prediction)
    scheduler = widened(theirs(DDPMScheduler, betas, prediction, clip, variance_type="fixed_small"),
                        betas)
    for t in times(clip):
        ours, x_start = p_sample(diffusion, x, t, step_noise(t), clip_denoised=clip)
        # draws what step_noise(t) draws
        step = scheduler.step(out, t - 1, x, generator=torch.Generator().manual_seed(t))
        as_close(ours, step.prev_sample)
        as_close(x_start, step.pred_original_sample)


@all_schedules
@all_predictions
@clipped_or_not
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("stride", [1, 10, 100])
def test_ddim_step(schedule, prediction, clip, eta, stride):
    "From every t to t - stride, or to clean data where that lies beyond"
    betas, diffusion, x, out = case(schedule, prediction)
    scheduler = widened(theirs(DDIMScheduler, betas, prediction, clip, set_alpha_to_one=True),
                        betas)
    scheduler.set_timesteps(T // stride)
    for t in times(clip):
        ours, x_start = ddim_sample(diffusion, x, t, max(t - stride, 0), step_noise(t), eta=eta,
                                    clip_denoised=clip)
        step = scheduler.step(out, t - 1, x, eta=eta, use_clipped_model_output=True,
                              variance_noise=step_noise(t))
        as_close(ours, step.prev_sample)
        as_close(x_start, step.pred_original_sample)


@all_schedules
@clipped_or_not
def test_steps_in_their_own_precision(schedule, clip):
    "With their float32 schedule as it is, what differs is its rounding"
    betas, diffusion, x, out = case(schedule, "noise")
    ddpm = theirs(DDPMScheduler, betas, "noise", clip, variance_type="fixed_small")
    ddim = theirs(DDIMScheduler, betas, "noise", clip, set_alpha_to_one=True)
    ddim.set_timesteps(T)
    close = dict(atol=1e-4, rtol=1e-4)
    for t in times(clip):
        step = ddpm.step(out, t - 1, x, generator=torch.Generator().manual_seed(t))
        torch.testing.assert_close(p_sample(diffusion, x, t, step_noise(t), clip_denoised=clip)[0],
                                   step.prev_sample, **close)
        step = ddim.step(out, t - 1, x, eta=1.0, use_clipped_model_output=True,
                         variance_noise=step_noise(t))
        ours = ddim_sample(diffusion, x, t, t - 1, step_noise(t), eta=1.0, clip_denoised=clip)[0]
        torch.testing.assert_close(ours, step.prev_sample, **close)


@pytest.mark.parametrize("schedule, name", [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_schedules_are_theirs(schedule, name):
    "Their linear schedule takes its ends as they are; ours scales them by 1000/T"
    scheduler = DDPMScheduler(T, beta_start=1e-4 * 1000 / T, beta_end=0.02 * 1000 / T,
                              beta_schedule=name)
    betas = SCHEDULES[schedule](T)
    assert betas.dtype == torch.float64
    torch.testing.assert_close(betas.float(), scheduler.betas, rtol=1e-5, atol=1e-7)
    diffusion = GaussianDiffusion(betas, SHAPE[1:], lambda x, t: x)
    torch.testing.assert_close(diffusion.alphas_cumprod[1:], scheduler.alphas_cumprod, rtol=1e-5,
                               atol=1e-7)


def walk_case(prediction):
    "A diffusion whose network depends on x and t, and noise to start from, in float64"
    def network(x, t): return torch.tanh(1.5 * x.roll(1, -1)) * (0.3 + t.view(-1, 1, 1, 1) / T)
    betas, generator = linear_beta_schedule(T), torch.Generator().manual_seed(0)
    diffusion = GaussianDiffusion(betas, SHAPE[1:], network, prediction=prediction).double()
    return diffusion, torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def walked(scheduler, diffusion, times, x, options=lambda: {}):
    "The end of their trajectory with our network and times, in float64; `options()` for each step"
    scheduler.set_timesteps(len(times) - 1)
    levels = [diffusion.level(t, x) for t in times]
    scheduler.timesteps = torch.tensor(times[:-1]) - 1
    scheduler.sigmas = torch.tensor([level.noise / level.signal for level in levels],
                                    dtype=torch.float64)
    for t, theirs in zip(times, scheduler.timesteps):
        out = diffusion.denoise_fn(scheduler.scale_model_input(x, theirs), torch.full((len(x),), t))
        x = scheduler.step(out, theirs, x, **options()).prev_sample
    return x


GRIDS = dict(
    even=lambda diffusion: time_grid(T, 8),
    noisy_end=lambda diffusion: time_grid(T, 8, 0.5),
    quadratic=lambda diffusion: time_grid(T, 8, 2),
    logsnr=lambda diffusion: logsnr_grid(diffusion, 8),
)
all_grids = pytest.mark.parametrize("grid", GRIDS)


def theirs_of_order_2(cls, diffusion, prediction, **settings):
    "Their multistep scheduler with our betas, ending at clean data"
    return cls(T, trained_betas=diffusion.betas64.tolist(), solver_order=2,
               prediction_type=PREDICTIONS[prediction], final_sigmas_type="zero", **settings)


@all_grids
@all_predictions
@pytest.mark.parametrize("rule, cls, settings", [
    (dpm_solver_rule(), DPMSolverMultistepScheduler,
     dict(algorithm_type="dpmsolver++", solver_type="midpoint")),
    (unipc_rule(), UniPCMultistepScheduler, dict(solver_type="bh2")),
], ids=["dpm-solver++", "unipc"])
def test_multistep_walk(grid, prediction, rule, cls, settings):
    diffusion, x = walk_case(prediction)
    times = GRIDS[grid](diffusion)
    scheduler = theirs_of_order_2(cls, diffusion, prediction, **settings)
    ours = final(reverse_process(diffusion, SHAPE, rule=rule, sampling_timesteps=times,
                                 clip_denoised=False, noise=x, progress=False))
    torch.testing.assert_close(ours, walked(scheduler, diffusion, times, x), **WALK)


@all_grids
@all_predictions
def test_stochastic_multistep_walk(grid, prediction):
    "SDE-DPM-Solver++(2M), the same noise drawn by both"
    diffusion, x = walk_case(prediction)
    times = GRIDS[grid](diffusion)
    scheduler = theirs_of_order_2(DPMSolverMultistepScheduler, diffusion, prediction,
                                  algorithm_type="sde-dpmsolver++", solver_type="midpoint")
    ours = final(reverse_process(diffusion, SHAPE, rule=dpm_solver_rule(1.0),
                                 sampling_timesteps=times, clip_denoised=False, noise=x,
                                 generator=torch.Generator().manual_seed(1), progress=False))
    generator = torch.Generator().manual_seed(1)

    def drawn():
        noise = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
        return dict(variance_noise=noise)

    torch.testing.assert_close(ours, walked(scheduler, diffusion, times, x, drawn), **WALK)


@all_grids
@all_predictions
@clipped_or_not
def test_heun_walk(grid, prediction, clip):
    "Theirs steps in x/√ᾱ, and shows the network x"
    diffusion, x = walk_case(prediction)
    times = GRIDS[grid](diffusion)
    scheduler = HeunDiscreteScheduler(T, trained_betas=diffusion.betas64.tolist(),
                                      prediction_type=PREDICTIONS[prediction], clip_sample=clip)
    ours = final(reverse_process(diffusion, SHAPE, rule=heun_rule(), sampling_timesteps=times,
                                 clip_denoised=clip, noise=x, progress=False))
    _, twice = heun_rule().reset(times)
    start = x / diffusion.level(T, x).signal
    torch.testing.assert_close(ours, walked(scheduler, diffusion, twice, start), **WALK)


def test_the_comparison_can_fail():
    "A step from one time too late is not the same"
    betas, diffusion, x, out = case("cosine", "noise")
    scheduler = widened(theirs(DDPMScheduler, betas, "noise", True, variance_type="fixed_small"),
                        betas)
    step = scheduler.step(out, 50, x, generator=torch.Generator().manual_seed(1))
    with pytest.raises(AssertionError): as_close(p_sample(diffusion, x, 50, step_noise(1))[0],
                                                 step.prev_sample)
