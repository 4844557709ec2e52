"""A user's script: mypy --strict and pyright find no error in it. It is checked, never run."""
from collections.abc import Iterator
from pathlib import Path

import torch
from matplotlib.axes import Axes
from PIL.Image import Image
from torch import Tensor
from typing import assert_type

from denoising_diffusion import (
    ConditionalMLP, Film, GaussianDiffusion, SeededNoise, Step, UNet, UNetConditioned,
    cosine_beta_schedule, ddim_rule, ddim_sample, ddim_sample_loop, fld, forward_film,
    frechet_distance, image_grid, images_from_folder, labelled_images_from_folder,
    linear_beta_schedule, load_mnist, load_pretrained, logsnr_beta_schedule, make_shapes,
    make_spiral, p_sample, p_sample_loop, p_sample_loop_all, reverse_process, sample, sample_film,
    save_pretrained, split_validation, stepper, time_grid, train, unipc_rule)

# Schedules and networks
assert_type(linear_beta_schedule(1000), Tensor)
assert_type(cosine_beta_schedule(100, s=0.01), Tensor)
betas = logsnr_beta_schedule(40)
points = ConditionalMLP(40, 16, num_classes=3)
unet = UNet(1, 16, 40, channel_multipliers=(1, 2), dropout=0.1)
labelled = UNetConditioned(1, 16, 40, num_classes=10, patch_size=2, attention_levels=[1])
x, images, t = torch.randn(8, 2), torch.randn(8, 1, 28, 28), torch.ones(8, dtype=torch.long)
assert_type(points(x, t, torch.ones_like(t)), Tensor)
assert_type(unet(images, t), Tensor)
assert_type(labelled(images, t, labels=3), Tensor)

# The diffusion
diffusion = GaussianDiffusion(betas, 2, points, prediction="v").to("cpu").eval()
assert_type(diffusion, GaussianDiffusion)
assert_type(diffusion.num_timesteps, int)
assert_type(diffusion.device, torch.device)
assert_type(diffusion.num_classes, int | None)
assert_type(diffusion.data_shape, tuple[int, ...])
x_t = assert_type(diffusion.q_sample(x, t), Tensor)
assert_type(diffusion.predict_start_from_noise(x_t, 3, torch.randn_like(x)), Tensor)
mean, variance = diffusion.q_posterior_mean_variance(x, x_t, t)
assert_type(mean, Tensor)
assert_type(variance, float | Tensor)
assert_type(diffusion.p_losses(x, labels=2, t=t), Tensor)

# Sampling
assert_type(p_sample(diffusion, x_t, 3, guidance_scale=1.5), tuple[Tensor, Tensor])
assert_type(ddim_sample(diffusion, x_t, 3, 1, labels=t, eta=0.5), tuple[Tensor, Tensor])
assert_type(p_sample_loop(diffusion, 8, labels=1, progress=False), Tensor)
xs, x_starts = p_sample_loop_all(diffusion, (8, 2), 3, noise=torch.randn(8, 2))
assert_type(ddim_sample_loop(diffusion, 8, sampling_timesteps=10, eta=1.0), Tensor)
assert_type(ddim_sample_loop(diffusion, (8, 2), "moons", sampling_timesteps=[40, 9, 0]), Tensor)
generator = torch.Generator().manual_seed(0)
steps = reverse_process(diffusion, 8, 1, rule=ddim_rule(0.5), sampling_timesteps=time_grid(40, 10))
assert_type(steps, Iterator[Step])
trajectory = list(steps)
assert_type(trajectory[-1].x_start, Tensor)
drawn = assert_type(sample(diffusion, 8, seed=1, rule=unipc_rule(), guidance_scale=2.0), Tensor)
assert_type(sample(diffusion, 2, ["moons", 1], rule="unipc", eta=0.5, spacing=0.6), Tensor)
assert_type(p_sample(diffusion, x_t, 3, labels="moons", generator=SeededNoise(0, start=8)),
            tuple[Tensor, Tensor])

# Data, training, files
assert_type(make_shapes(100, noise=0.01), tuple[Tensor, Tensor])
train_data, val_data = split_validation(make_spiral(1000, generator=generator), fraction=0.2)
history = train(diffusion, train_data, val_data, num_epochs=2, lr=1e-3, checkpoint="runs/a.pt")
assert_type(history.val_loss, list[float])
assert_type(history.plot(), Axes)
assert_type(save_pretrained(diffusion, "a.safetensors"), Path)
assert_type(load_pretrained("spiral"), GaussianDiffusion)
digits, classes = load_mnist("test")
assert_type(images_from_folder("photos", 32, background="black", keep_blank=True), Tensor)
assert_type(labelled_images_from_folder(Path("photos"), 32), tuple[Tensor, Tensor, list[str]])

# Measures and pictures
assert_type(fld(digits, reference="mnist-1"), float)
assert_type(frechet_distance(mean, torch.eye(2), mean, torch.eye(2)), float)
assert_type(image_grid(images, ncols=4, scale=2), Image)
image_grid(images).save("digits.png")
film = assert_type(sample_film("shapes", label="moons", rule="unipc", sampling_timesteps=10), Film)
assert_type(film.save("film.html"), Path)
assert_type(forward_film(x, num_timesteps=50).pictures, list[bytes])
stepper(trajectory, diffusion, data=x)
