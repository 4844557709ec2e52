"""Seven kinds of damage to images, each in three strengths: what a distance should notice."""
import torch
import torch.nn.functional as F
from torch import Tensor

STRENGTHS = 0.1, 0.2, 0.4


def _generator() -> torch.Generator: return torch.Generator().manual_seed(0)


def blurred(x: Tensor, sigma: float) -> Tensor:
    "Images (N, C, H, W) under a Gaussian blur with a standard deviation of `sigma` pixels"
    places = torch.arange(-8, 9).to(x)
    weights = (-(places / sigma) ** 2 / 2).exp()
    weights /= weights.sum()
    channels = F.pad(x, (8,) * 4, mode="replicate").flatten(0, 1)[:, None]
    rows = F.conv2d(channels, weights.view(1, 1, 1, -1))
    return F.conv2d(rows, weights.view(1, 1, -1, 1)).view_as(x)


def warped(x: Tensor, pixels: float) -> Tensor:
    "Images as if drawn on rubber, each of 6 × 6 places pulled by about `pixels`"
    n, size = len(x), x.shape[-2:]
    pull = torch.randn(n, 2, 6, 6, generator=_generator()) * 2 * pixels / size[1]
    pull = F.interpolate(pull, size, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    grid = F.affine_grid(torch.eye(2, 3).expand(n, 2, 3), x.shape, align_corners=False)
    return F.grid_sample(x, grid + pull, mode="nearest", padding_mode="border",
                         align_corners=False)


def shuffled(x: Tensor, share: float) -> Tensor:
    "Images of which this share has its quarters in another order"
    middle, n = x.shape[-1] // 2, int(share * len(x))
    upper, lower = x[:n, ..., :middle, :], x[:n, ..., middle:, :]
    a, b = upper[..., :middle], upper[..., middle:]
    c, d = lower[..., :middle], lower[..., middle:]
    turned = torch.cat([torch.cat([d, a], -1), torch.cat([b, c], -1)], -2)
    return torch.cat([turned, x[n:]])


def swapped(x: Tensor, share: float) -> Tensor:
    "Images with this share of their 4 × 4 cells taken from another image"
    other = torch.rand(len(x), 1, 4, 4, generator=_generator()) < share
    return torch.where(F.interpolate(other.float(), x.shape[-2:]) > 0, x.roll(1, 0), x)


def damages(
    x: Tensor,  # (N, 3, H, W) in [-1, 1], of even height and width, on white
) -> dict[str, list[Tensor]]:  # by kind, from little to much
    "Seven kinds of damage, each in three strengths"
    noise = torch.randn(x.shape, generator=_generator())
    tint = torch.tensor([-1, 0, 1]).view(1, 3, 1, 1)
    white = (x > 0.97).all(1, keepdim=True)
    return {"blur": [blurred(x, sigma) for sigma in (0.5, 1, 2)],
            "noise": [x + strength * noise for strength in STRENGTHS],
            "tint": [x * (1 + strength * tint) for strength in STRENGTHS],
            "stain": [torch.where(white, x - strength, x) for strength in STRENGTHS],
            "foreign cells": [swapped(x, share) for share in STRENGTHS],
            "rubber": [warped(x, pixels) for pixels in (1, 2, 4)],
            "quarters": [shuffled(x, share) for share in (0.25, 0.5, 1)]}
