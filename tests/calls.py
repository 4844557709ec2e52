"""A valid call of every public function, for the tests that change its arguments.

`CALLS` maps a name to a function that makes the call: the function and its arguments by name.
Arguments in `FIXED` are never changed: they would download, compile, or take minutes. Arguments in
`CALLBACKS` are functions of the user, so they are not replaced by other functions."""
import gzip
import struct
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import mse_loss

import denoising_diffusion as dd
from denoising_diffusion import (
    batches, blocks, checkpoints, checks, data, files, fitting, guidance, metrics, plots,
    points as curves, pretrained, recipes, sampling, schedules, training)
from denoising_diffusion.diffusion import (
    Level, noise_like, posterior_mean_variance, snr_ratio)

Call = tuple[Callable[..., Any], dict[str, Any]]
T, SIDE = 8, 8
FIXED = {"download", "compile", "bf16", "num_steps"}
CALLBACKS = {"loss", "metric", "optimizer", "lr_schedule", "augment", "after_epoch", "loss_of",
             "write", "build", "check"}
# Layers, and functions that stand for networks, take tensors and no arrays or lists
TENSORS_ONLY = {"ConditionalLinear.forward", "ConvEmbed.forward", "ResBlock.forward", "guided",
                "conv3x3.forward", "down.forward", "up.forward", "expand_labels"}


def generator() -> torch.Generator: return torch.Generator().manual_seed(0)


def points(n: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def images(n: int = 4, channels: int = 1, side: int = SIDE) -> torch.Tensor:
    return torch.rand(n, channels, side, side, generator=generator()) * 2 - 1


def diffusion(num_classes: int | None = 3) -> Any:
    torch.manual_seed(0)
    network = dd.ConditionalMLP(T, 8, num_layers=1, num_classes=num_classes)
    return dd.GaussianDiffusion(dd.cosine_beta_schedule(T), 2, network).eval()


def of_images() -> Any:
    torch.manual_seed(0)
    network = dd.UNet(1, 4, T, channel_multipliers=(1,), block_groups=2, num_attention_heads=1)
    return dd.GaussianDiffusion(dd.cosine_beta_schedule(T), (1, SIDE, SIDE), network).eval()


def picture(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def make_files(folder: Path) -> None:
    "Images, images in sub-folders, and digits in the format of MNIST"
    for i, name in enumerate(("a", "b")):
        (folder/"labelled"/name).mkdir(parents=True)
        picture(i).save(folder/"labelled"/name/"one.png")
        picture(i + 2).save(folder/"labelled"/name/"two.jpg")
    rng = np.random.default_rng(0)
    for split in ("train", "t10k"):
        write_idx(folder/f"{split}-images-idx3-ubyte.gz", rng.integers(0, 256, (20, 28, 28)))
        write_idx(folder/f"{split}-labels-idx1-ubyte.gz", np.arange(20) % 10)


def make_calls(folder: Path) -> dict[str, Callable[[], Call]]:
    "The calls; `folder` is empty, and holds the files that they read and write"
    make_files(folder)
    d, trained = diffusion(), diffusion(None)
    steps = [*dd.reverse_process(d, 3, 1, progress=False, generator=generator())]
    encoder, reference = dd.load_encoder(), dd.load_reference()
    digits, creatures = images(40, 1, 28), images(32, 3, 16)
    named = digits, torch.arange(40) % 10 + 1
    loop = dict(diffusion=d, n_or_shape=2, labels=1, guidance_scale=1.5, guidance_interval=(1, 2),
                clip_denoised=True, white_point=0.99, noise=points(2),
                generator=generator(), progress=False)
    step = dict(diffusion=d, x=points(2), t=3, noise=points(2, 1), labels=1, guidance_scale=1.5,
                clip_denoised=True)
    chosen = dict(rule="unipc", sampling_timesteps=2, eta=0.5, spacing=0.8, guidance_scale=1.5)
    command = dict(sampler="ddim", steps=2, eta=0.5, spacing=0.8, seed=0, device="cpu", quiet=True)
    folder_options = dict(size=6, background="white", crop=True, margin=0.05)
    network = dict(in_channels=1, model_channels=4, num_timesteps=T, block_groups=2,
                   num_attention_heads=1)
    flexible = dict(network, channel_multipliers=(1, 2), num_blocks_per_level=1, dropout=0.1,
                    patch_size=1)
    options = dict(num_epochs=1, batch_size=4, lr=1e-3, prob_uncond=0.2, ema_decay=0.9,
                   grad_clip=1.0, seed=0, progress=False, device="cpu", dtype=None, augment=None,
                   after_epoch=None, checkpoint=None, checkpoint_steps=None, resume=False,
                   time_weights=torch.ones(T), loss=mse_loss, optimizer=torch.optim.Adam,
                   lr_schedule=fitting.one_cycle)
    film = dict(seed=0, n=2)
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "linear_beta_schedule": (dd.linear_beta_schedule, dict(num_timesteps=50, start=1e-4,
                                                               end=0.02)),
        "cosine_beta_schedule": (dd.cosine_beta_schedule, dict(num_timesteps=5, s=0.008,
                                                               max_beta=0.999)),
        "logsnr_beta_schedule": (dd.logsnr_beta_schedule, dict(num_timesteps=5, start=9.0,
                                                               end=-7.0)),
        "clipped_snr_weights": (dd.clipped_snr_weights, dict(betas=d.betas64, gamma=2.0)),
        "lognormal_weights": (dd.lognormal_weights, dict(betas=d.betas64, mean=-1.2,
                                                         deviation=1.3, least=0.0015)),
        "GaussianDiffusion": (dd.GaussianDiffusion, dict(
            betas=d.betas64, data_shape=2, denoise_fn=d.denoise_fn, prediction="v")),
        "gaussian_denoiser": (dd.gaussian_denoiser, dict(diffusion=d, mean=points(3), std=0.1,
                                                         weights=torch.ones(3))),
        "autoguide": (dd.autoguide, dict(model=trained.denoise_fn, weak=trained.denoise_fn,
                                         scale=1.5, since=1)),
        "guide": (dd.guide, dict(model=d.denoise_fn, labels=[1, 2], scale=2.0,
                                 interval=(1, 3))),
        "cycle_labels": (dd.cycle_labels, dict(labels=[1, 2], n=5)),
        "randomly_set_unconditioned": (dd.randomly_set_unconditioned, dict(
            labels=torch.tensor([1, 2]), prob_uncond=0.5, generator=generator())),
        "SeededNoise": (dd.SeededNoise, dict(seed=0, start=1)),
        "ddpm_rule": (dd.ddpm_rule, dict(x=points(2), x_start=points(2), level_t=Level(0.6, 0.8),
                                         level_s=Level(0.8, 0.6))),
        "time_grid": (dd.time_grid, dict(num_timesteps=10, sampling_timesteps=4, spacing=0.5)),
        "logsnr_grid": (dd.logsnr_grid, dict(diffusion=d, sampling_timesteps=3)),
        "reverse_process": (lambda **options: [*dd.reverse_process(**options)], dict(
            loop, rule="ddim", sampling_timesteps=2)),
        "p_sample": (dd.p_sample, dict(step, generator=None)),
        "p_sample_loop": (dd.p_sample_loop, loop),
        "p_sample_loop_all": (dd.p_sample_loop_all, loop),
        "ddim_rule": (dd.ddim_rule, dict(eta=0.5)),
        "ddim_sample": (dd.ddim_sample, dict(step, t_next=1, eta=0.5)),
        "ddim_sample_loop": (dd.ddim_sample_loop, dict(loop, sampling_timesteps=3, eta=0.5)),
        "dpm_solver_rule": (dd.dpm_solver_rule, dict(eta=0.5)),
        "unipc_rule": (dd.unipc_rule, dict(eta=0.5)),
        "heun_rule": (dd.heun_rule, {}),
        "sample": (dd.sample, dict(chosen, diffusion=d, n=3, labels=[1, 2, 3], seed=1, chunk=2,
                                   dtype=None, clip_denoised=True, guidance_interval=(1, 2),
                                   white_point=0.99, progress=False)),
        "sampler_rule": (dd.sampler_rule, dict(name="ddim", eta=0.5)),
        "resolve_sampling": (dd.resolve_sampling, dict(
            chosen, diffusion=d, labels=1, guidance_interval=(1, 2), white_point=0.99)),
        "SinusoidalPositionEmbedding": (dd.SinusoidalPositionEmbedding, dict(num_timesteps=T,
                                                                            dim=8)),
        "ConditionalChain": (lambda layer: dd.ConditionalChain(layer), dict(layer=nn.ReLU())),
        "ConditionalSkipConnection": (dd.ConditionalSkipConnection, dict(
            layers=nn.ReLU(), connection=torch.add)),
        "ConditionalMLP": (dd.ConditionalMLP, dict(num_timesteps=T, d_hid=8, num_layers=1, d_in=2,
                                                   num_classes=3)),
        "ConvEmbed": (dd.ConvEmbed, dict(in_channels=4, out_channels=4, emb_channels=8, groups=2)),
        "ResBlock": (dd.ResBlock, dict(in_channels=4, out_channels=4, emb_channels=8, groups=2,
                                       dropout=0.1)),
        "down": (dd.down, dict(in_channels=4, out_channels=8)),
        "up": (dd.up, dict(in_channels=4, out_channels=8)),
        "scaled_dot_attention": (dd.scaled_dot_attention, dict(
            q=points(3)[None], k=points(3)[None], v=points(3)[None])),
        "MultiheadAttention": (dd.MultiheadAttention, dict(dim=8, nhead=2)),
        "UNet": (dd.UNet, flexible),
        "UNetFixed": (dd.UNetFixed, network),
        "UNetConditioned": (dd.UNetConditioned, dict(flexible, num_classes=3,
                                                     combine_embeddings="add")),
        "make_spiral": (dd.make_spiral, dict(n=5, noise=0.1, generator=generator())),
        "make_s_curve": (dd.make_s_curve, dict(n=5, noise=0.1, generator=generator())),
        "make_moons": (dd.make_moons, dict(n=5, noise=0.1, generator=generator())),
        "make_shapes": (dd.make_shapes, dict(n_each=5, noise=0.1, generator=generator())),
        "distance_to_curve": (dd.distance_to_curve, dict(points=points(), name="spiral")),
        "sliced_wasserstein": (dd.sliced_wasserstein, dict(
            x=points(), y=points(12, 1), num_projections=4, generator=generator())),
        "load_mnist": (dd.load_mnist, dict(split="test", dataset="mnist", folder=folder,
                                           download=False)),
        "load_emoji": (dd.load_emoji, dict(split="test")),
        "split_validation": (dd.split_validation, dict(
            data=points(), labels=torch.arange(12), fraction=0.25, seed=1)),
        "images_from_folder": (dd.images_from_folder, dict(folder_options, folder=folder)),
        "labelled_images_from_folder": (dd.labelled_images_from_folder, dict(
            folder_options, folder=folder/"labelled")),
        "read_folder": (dd.read_folder, dict(folder_options, folder=folder)),
        "find_duplicates": (dd.find_duplicates, dict(
            images=(images(6) * 100).to(torch.uint8), tolerance=2.0)),
        "flatten_image": (dd.flatten_image, dict(image=picture(), background="white")),
        "square_image": (dd.square_image, dict(image=picture(), size=6, background="white",
                                               crop=True, margin=0.1)),
        "subject_box": (dd.subject_box, dict(image=picture(), tolerance=16)),
        "train": (lambda **options: dd.train(diffusion(), **options), dict(
            options, train_data=(points(), torch.arange(12) % 3 + 1), val_data=points(4))),
        "batched_loss": (dd.batched_loss, dict(diffusion=d, data=points(), batch_size=5, seed=0,
                                               loss=mse_loss)),
        "batched_metric": (dd.batched_metric, dict(metric=torch.mean, data=points(),
                                                   batch_size=5)),
        "random_flip": (dd.random_flip, dict(x=images())),
        "image_grid": (dd.image_grid, dict(images=images(), ncols=2, pad=1, scale=2)),
        "contact_sheet": (dd.contact_sheet, dict(images=images(), names=[*"abcd"], ncols=2,
                                                 scale=1)),
        "load_pretrained": (dd.load_pretrained, dict(name="spiral", trust=False)),
        "save_pretrained": (dd.save_pretrained, dict(
            diffusion=d, path=folder/"saved.safetensors", card=dict(data="points"),
            dtype=torch.float16)),
        "pretrained_names": (dd.pretrained_names, {}),
        "frechet_distance": (dd.frechet_distance, dict(
            mu1=torch.zeros(3), sigma1=torch.eye(3), mu2=torch.ones(3), sigma2=torch.eye(3))),
        "precision_recall": (dd.precision_recall, dict(
            features=points(20), real_features=points(20, 1), k=3)),
        "LeNet5": (dd.LeNet5, dict(num_classes=4)),
        "fld": (dd.fld, dict(images=digits, normalize_contrast=False)),
        "report": (dd.report, dict(images=digits, labels=named[1])),
        "train_reference": (dd.train_reference, dict(
            train_data=named, test_data=named, card=None, num_epochs=1, batch_size=20, lr=1e-3,
            seed=0, progress=False)),
        "save_reference": (dd.save_reference, dict(reference=reference,
                                                   path=folder/"reference.safetensors")),
        "load_reference": (dd.load_reference, dict(reference="mnist-1")),
        "Encoder": (dd.Encoder, dict(num_features=4, channels=(4, 4, 4, 4))),
        "train_encoder": (dd.train_encoder, dict(
            images=creatures, groups=None, num_epochs=1, batch_size=8, lr=1e-3, num_features=4,
            seed=0, progress=False)),
        "save_encoder": (dd.save_encoder, dict(encoder=encoder,
                                               path=folder/"encoder.safetensors")),
        "load_encoder": (dd.load_encoder, dict(encoder="pokemon-1")),
        "picture_distance": (dd.picture_distance, dict(images=creatures, real=creatures)),
        "nearest_images": (dd.nearest_images, dict(images=creatures[:2], others=creatures,
                                                   mirrored=True)),
        "nearest_panel": (dd.nearest_panel, dict(samples=creatures[:2], train=creatures,
                                                 size=0.5)),
        "memorization_rate": (dd.memorization_rate, dict(
            samples=creatures, train=creatures, held_out=-creatures[:12], quantile=0.1)),
        "color_statistics": (dd.color_statistics, dict(images=creatures, num_hues=4,
                                                       background=(1.0, 1.0, 1.0))),
        "color_table": (lambda some: dd.color_table(some=some), dict(some=creatures)),
        "Detector": (dd.Detector, dict(channels=(8, 16))),
        "train_detector": (dd.train_detector, dict(drawn=creatures[:6], real=creatures[6:],
                                                   num_epochs=1, batch_size=8, lr=1e-3, seed=0,
                                                   progress=False)),
        "detector_auc": (dd.detector_auc, dict(detector=dd.Detector((8, 16)), drawn=creatures[:6],
                                               real=creatures[6:])),
        "drawing_statistics": (dd.drawing_statistics, dict(images=creatures)),
        "make_film": (dd.make_film, dict(steps=steps, diffusion=d, title="a film",
                                         headings=("x", "y"), data=points(), labels=[1, 2, 3],
                                         ncols=None)),
        "sample_film": (dd.sample_film, dict(film, model=d, label=1, rule="ddim",
                                             sampling_timesteps=2, eta=0.5, spacing=0.8,
                                             guidance_scale=1.5, data=points())),
        "forward_film": (dd.forward_film, dict(data=points(), schedule="cosine", num_timesteps=5,
                                               seed=0)),
        "schedule_film": (dd.schedule_film, dict(schedule="cosine", num_timesteps=5, s=0.008)),
        "guidance_film": (dd.guidance_film, dict(film, model=d, scales=[1, 2],
                                                 sampling_timesteps=2, label=1)),
        "ddim_film": (dd.ddim_film, dict(film, model=d, counts=[1, 2], eta=0.5,
                                         guidance_scale=1.5, label=1)),
        "field_film": (dd.field_film, dict(film, model=d, label=1, guidance_scale=1.5,
                                           data=points(), num_frames=2)),
        "density_film": (dd.density_film, dict(film, model=d, label=1, guidance_scale=1.5,
                                               data=points(), num_frames=2)),
        "compare_film": (dd.compare_film, dict(film, model=d, first="ddim", second="ddpm",
                                               label=1, num_frames=2)),
        "tilt_film": (dd.tilt_film, dict(film, model=d, label=1, scales=[1, 2], t=3)),
        "TrainingRecorder": (dd.TrainingRecorder, dict(epochs=[1, 2], seed=0)),
        "stepper": (dd.stepper, dict(what=steps, diffusion=d, data=points(), labels=[1, 2, 3])),
        "forward_stepper": (dd.forward_stepper, dict(data=points(), num_timesteps=5)),
        "ddpm_sample": (dd.ddpm_sample, dict(
            command, model="spiral", n=3, labels=None, out=str(folder/"samples.png"))),
        "ddpm_train": (dd.ddpm_train, dict(
            data=str(folder/"labelled"), out=str(folder/"trained.safetensors"), epochs=1, batch=2,
            lr=1e-3, size=8, channels=8, prediction="start", dropout=0.1, crop=True, seed=0,
            device="cpu", quiet=True)),
        # methods
        "q_sample": (d.q_sample, dict(x_start=points(2), t=[1, 2], noise=points(2, 1))),
        "predict_start": (d.predict_start, dict(x_t=points(2), t=3, output=points(2, 1))),
        "predict_start_from_noise": (d.predict_start_from_noise, dict(x_t=points(2), t=3,
                                                                      noise=points(2, 1))),
        "predict_noise_from_start": (d.predict_noise_from_start, dict(x_t=points(2), t=3,
                                                                      x_start=points(2, 1))),
        "q_posterior_mean_variance": (d.q_posterior_mean_variance, dict(
            x_start=points(2), x_t=points(2, 1), t=3)),
        "p_losses": (d.p_losses, dict(x_start=points(3), labels=[1, 2, 0], t=[1, 2, 3],
                                      noise=points(3, 1), loss=mse_loss)),
        "level": (d.level, dict(t=[1, 2], x=points(2))),
        "replace": (d.replace, dict(denoise_fn=d.denoise_fn)),
        "ConditionalMLP.forward": (d.denoise_fn, dict(x=points(2), t=torch.tensor([1, 2]),
                                                      labels=torch.tensor([1, 0]))),
        "UNet.forward": (of_images().denoise_fn, dict(x=images(2), t=torch.tensor([1, 2]))),
    }
    calls |= more_calls(folder, d, steps)
    return {name: lambda call=call: (call[0], dict(call[1])) for name, call in calls.items()}


def entered(manager: Callable[..., Any], **options: Any) -> Any:
    with manager(**options) as value: return value


def fitted(**options: Any) -> None:
    line = nn.Linear(2, 1)
    given = dict(parameters=line.parameters(), loss_of=lambda i: line(points()[i]).square().mean())
    fitting.fit(**given | options)


def stepped(**options: Any) -> torch.Tensor:
    run = training.Training(diffusion(), num_epochs=1, device="cpu")
    run.begin(1)
    return run.take_step(**options)


def level_pair() -> dict[str, Level]: return dict(level_t=Level(0.6, 0.8), level_s=Level(0.8, 0.6))


def more_calls(folder: Path, d: Any, steps: list[Any]) -> dict[str, tuple[Any, dict[str, Any]]]:
    "Calls of the functions that the modules have, but the package's own list of names has not"
    checkpoint, tensors = folder/"checkpoint.pt", folder/"tensors.safetensors"
    dd.train(d, points(), num_epochs=1, device="cpu", progress=False, checkpoint=checkpoint)
    state = checkpoints.read_checkpoint(checkpoint)
    files.write_tensors(tensors, {"a": torch.ones(2)}, toy=dict(seed=0))
    picture_frames = plots.points_frames(steps, size=60)
    return {
        "ConditionalLinear": (blocks.ConditionalLinear, dict(d_in=2, d_out=4, num_timesteps=T,
                                                            num_classes=3)),
        "ConditionalLinear.forward": (blocks.ConditionalLinear(2, 4, T, 3), dict(
            x=points(2), t=torch.tensor([1, 2]), labels=torch.tensor([1, 0]))),
        "ConvEmbed.forward": (dd.ConvEmbed(1, 4, 8, 2), dict(x=images(2), emb=torch.ones(2, 8))),
        "ResBlock.forward": (dd.ResBlock(1, 4, 8, 2), dict(x=images(2), emb=torch.ones(2, 8))),
        "conv3x3.forward": (blocks.conv3x3(1, 4), dict(x=images(2))),
        "down.forward": (dd.down(1, 4), dict(x=images(2))),
        "up.forward": (dd.up(1, 4), dict(x=images(2))),
        "expand_labels": (blocks.expand_labels, dict(x=points(2), labels=[1, 2], num_classes=3)),
        "conv3x3": (blocks.conv3x3, dict(in_channels=4, out_channels=8, bias=True)),
        "seeded": (lambda **options: entered(checkpoints.seeded, **options),
                   dict(seed=0, epoch=0, device="cpu")),
        "EMA": (checkpoints.EMA, dict(module=d.denoise_fn, decay=0.9)),
        "EMA.load_state_dict": (checkpoints.EMA(d).load_state_dict, dict(
            state=checkpoints.EMA(d).state_dict())),
        "History.append": (checkpoints.History().append, dict(mean_batch_loss=1.0, val_loss=0.5)),
        "plain_value": (checkpoints.plain_value, dict(value={"a": 1})),
        "network_config": (checkpoints.network_config, dict(network=d.denoise_fn)),
        "fingerprint": (checkpoints.fingerprint, dict(diffusion=d)),
        "check_fingerprint": (checkpoints.check_fingerprint, dict(state=state, diffusion=d,
                                                                  path=checkpoint)),
        "write_checkpoint": (checkpoints.write_checkpoint, dict(path=folder/"again.pt",
                                                               state=state)),
        "read_checkpoint": (checkpoints.read_checkpoint, dict(path=checkpoint)),
        "load_checkpoint": (checkpoints.load_checkpoint, dict(diffusion=d, path=checkpoint)),
        "check_counts": (checks.check_counts, dict(n=1, batch_size=2)),
        "check_timesteps": (checks.check_timesteps, dict(t=[1, 2], batch_size=2, num_timesteps=T,
                                                         least=1)),
        "check_labels": (checks.check_labels, dict(labels=["b", "a"], batch_size=2, num_classes=2,
                                                   device="cpu", names=["a", "b"])),
        "takes_labels": (checks.takes_labels, dict(network=d.denoise_fn)),
        "warn_user": (checks.warn_user, dict(message="a warning")),
        "to_floats": (data.to_floats, dict(x=images(), dtype=torch.float64)),
        "to_uint8": (data.to_uint8, dict(x=images())),
        "normalize_to_neg_one_to_one": (data.normalize_to_neg_one_to_one, dict(
            images=images() / 2 + 0.5)),
        "unnormalize_to_zero_to_one": (data.unnormalize_to_zero_to_one, dict(x=images())),
        "split_labels": (lambda x, labels: data.split_labels((x, labels)), dict(
            x=points(3), labels=torch.tensor([1, 2, 3]))),
        "Batches": (lambda **options: [*batches.Batches(**options)], dict(
            data=points(), batch_size=5, device="cpu", dtype=torch.float64, shuffle=False,
            check=len)),
        "find_device": (data.find_device, dict(name="cpu")),
        "is_bf16_fast": (data.is_bf16_fast, dict(device="cpu")),
        "check_images": (data.check_images, dict(images=images(), name="images", channels=(1, 3),
                                                 side=SIDE, least_side=2, least=2, in_range=True)),
        "read_idx": (data.read_idx, dict(path=folder/"t10k-labels-idx1-ubyte.gz", ndim=1)),
        "noise_like": (noise_like, dict(x=points(2), noise=points(2, 1), generator=generator())),
        "snr_ratio": (snr_ratio, level_pair()),
        "posterior_mean_variance": (posterior_mean_variance, dict(
            x_start=points(2), x_t=points(2, 1), **level_pair())),
        "write_file": (files.write_file, dict(path=folder/"text", write=lambda path: path.touch())),
        "write_tensors": (files.write_tensors, dict(
            path=folder/"more.safetensors", tensors={"a": torch.ones(2)}, toy=dict(seed=0))),
        "write_tensors.values": (lambda a: files.write_tensors(
            folder/"value.safetensors", {"a": a}, toy={}), dict(a=torch.ones(2))),
        "open_tensors": (lambda **options: entered(files.open_tensors, **options),
                         dict(path=tensors, kind="toy", writer="write_toy")),
        "load_named": (files.load_named, dict(name=tensors, kind="toy", build=lambda *parts: 1)),
        "mean_and_covariance": (metrics.mean_and_covariance, dict(features=points())),
        "nearest_neighbors": (metrics.nearest_neighbors, dict(
            x=points(3), others=points(), mirror_images=points())),
        "confusion_matrix": (metrics.confusion_matrix, dict(asked=[1, 2], read=[1, 1],
                                                            num_classes=2)),
        "scores": (metrics.scores, dict(confusion=torch.eye(3, dtype=torch.long))),
        "new_figure": (plots.new_figure, dict(width=1, height=1)),
        "show_images": (plots.show_images, dict(images=images(), ncols=2, titles=[*"abcd"],
                                                size=0.5)),
        "plot_points": (plots.plot_points, dict(
            panels=[points(), points(5)], data=points(), labels=None, ncols=2, limit=1.5, size=1)),
        "plot_steps": (plots.plot_steps, dict(steps=steps, num_columns=2, data=points(),
                                              labels=[1, 2, 3], limit=1.5, ncols=None, size=0.5)),
        "points_frames": (plots.points_frames, dict(steps=steps, data=points(), labels=[1, 1, 1],
                                                    limit=1.5, size=60, titles=True)),
        "image_frames": (plots.image_frames, dict(
            steps=[sampling.Step(0, images(), images())], ncols=2, scale=1)),
        "save_image": (plots.save_image, dict(image=picture(), path=folder/"picture.png")),
        "unscale": (dd.unscale, dict(diffusion=d, x=points(2))),
        "image_to_image": (dd.image_to_image, dict(
            diffusion=d, x=points(2), labels=1, strength=0.5, progress=False,
            sampling_timesteps=2, eta=0.5, rule="unipc")),
        "inpaint": (dd.inpaint, dict(diffusion=d, x=points(2), mask=[[1, 0]], labels=1,
                                     progress=False, sampling_timesteps=2)),
        "invert": (dd.invert, dict(diffusion=d, x=points(2), labels=1, sampling_timesteps=2,
                                   guidance_scale=1.5, progress=False)),
        "interpolate": (dd.interpolate, dict(diffusion=d, first=points(1), last=points(1, 1), n=3,
                                             labels=1, sampling_timesteps=2, progress=False)),
        "load_data": (dd.load_data, dict(source=str(folder/"labelled"), size=6, crop=False,
                                         unlabelled=False)),
        "EpochLines": (dd.EpochLines, dict(num_epochs=3)),
        "training_hint": (dd.training_hint, dict(history=checkpoints.History([1.0], [1.0]))),
        "save_samples": (dd.save_samples, dict(samples=points(), path=folder/"points.npz",
                                               labels=[1, 2, 3] * 4, diffusion=diffusion())),
        "save_gif": (plots.save_gif, dict(frames=picture_frames, path=folder/"film.gif", fps=10,
                                          hold=0.5)),
        "curve": (curves.curve, dict(name="spiral", n=50)),
        "nearest_on_curve": (curves.nearest_on_curve, dict(points=points(), name="spiral")),
        "find_diffusion": (pretrained.find_diffusion, dict(model=d, trust=False)),
        "picture_diffusion": (recipes.picture_diffusion, dict(size=8, channels=8,
                                                              prediction="start", dropout=0.1)),
        "find_recipe": (recipes.find_recipe, dict(data="spiral", seed=0, settings={})),
        "evaluations": (sampling.evaluations, dict(rule="heun", times=[9, 5, 0])),
        "final": (sampling.final, dict(steps=steps)),
        "sample_step": (sampling.sample_step, dict(
            diffusion=d, x=points(2), t=[3, 2], s=[1, 0], noise=points(2, 1), labels=[1, 2],
            rule="ddim", guidance_scale=1.5, clip_denoised=True)),
        "SeededNoise.like": (lambda x: dd.SeededNoise(0).like(x), dict(x=points(2))),
        "denoiser": (dd.gaussian_denoiser(d, 0.5, 0.3), dict(x=points(2), t=[1, 2])),
        "guided": (guidance.guide(d.denoise_fn, 1, 2.0), dict(
            x=points(2), t=torch.tensor([1, 2]))),
        "cumulate_alphas": (schedules.cumulate_alphas, dict(betas=d.betas64)),
        "one_cycle": (fitting.one_cycle, dict(fraction=0.5)),
        "fit": (fitted, dict(n=12, num_epochs=1, batch_size=5, lr=0.1,
                             optimizer=torch.optim.Adam, least=2, desc="fit", progress=False)),
        "Training": (training.Training, dict(diffusion=diffusion(), num_epochs=1, device="cpu")),
        "Training.take_step": (stepped, dict(x=points(4), labels=torch.tensor([1, 2, 0, 3]))),
    }


def public_names() -> set[str]:
    "All public names of the package and of its modules"
    names = [info.name for info in iter_modules(dd.__path__) if info.name[0] != "_"]
    modules = [import_module(f"denoising_diffusion.{name}") for name in names]
    return {*dd.__all__} | {name for module in modules for name in module.__all__}


# Public names without a call of their own, and why
UNCALLED = {
    "Step": "a tuple", "Reference": "made by train_reference", "Film": "made by make_film",
    "schedule_explorer": "no arguments; see test_widgets", "guidance_explorer": "sample_film's",
    "ddim_explorer": "sample_film's", "ddpm_fld": "takes minutes; see test_commands",
    "ddpm_reference": "takes minutes; see test_commands",
    "ddpm_measure": "takes minutes; see test_commands", "Data": "a type",
    "LoadedData": "made by load_data", "TensorBoardWriter": "an extra; see test_watching",
    "Labels": "a type", "weights_folder": "a path", "History": "a record; see History.append",
    "Level": "a tuple", "Match": "made by nearest_neighbors", "ImageFolder": "made by read_folder",
    "Recipe": "made by find_recipe", "recipes": "a dict", "samplers": "a dict",
    "schedules": "a dict", "Player": "see test_widgets",
}
