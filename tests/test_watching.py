"""Curves for TensorBoard, read back by TensorBoard itself."""
import pytest
import torch

from denoising_diffusion import (
    ConditionalMLP, EpochLines, GaussianDiffusion, TensorBoardWriter, cosine_beta_schedule, train)


def diffusion() -> GaussianDiffusion:
    torch.manual_seed(0)
    return GaussianDiffusion(cosine_beta_schedule(5), 2, ConditionalMLP(5, 4))


def scalars(folder, tag: str) -> list[tuple[int, float]]:
    "The points of a curve as TensorBoard shows them: (epoch, value)"
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in found.Scalars(tag)]


def test_tensorboard_reads_the_curves(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    data = torch.rand(64, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    options = dict(checkpoint=tmp_path/"a.pt", seed=0, progress=False, device="cpu")
    train(diffusion(), data, data[:8], num_epochs=2, after_epoch=TensorBoardWriter(tmp_path/"a"),
          **options)
    with pytest.warns(UserWarning, match="num_epochs = 3, where it had 2"):
        history = train(diffusion(), data, data[:8], num_epochs=3, resume=True,
                        after_epoch=TensorBoardWriter(tmp_path/"a"), **options)
    for tag, values in {"loss/training": history.mean_batch_loss, "loss/validation":
                        history.val_loss, "learning rate": history.learning_rate}.items():
        assert scalars(tmp_path/"a", tag) == [
            (epoch, pytest.approx(value)) for epoch, value in enumerate(values, 1)]


def test_more_epochs_continue_the_table(tmp_path, capsys):
    "`num_epochs` raised from 2 to 3 keeps the first rows of the table as they are"
    data = torch.rand(64, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    options = dict(checkpoint=tmp_path/"a.pt", seed=0, progress=False, device="cpu")
    table = tmp_path/"a-history.csv"
    train(diffusion(), data, num_epochs=2, after_epoch=EpochLines(2), **options)
    before = table.read_text()
    with pytest.warns(UserWarning, match="num_epochs = 3, where it had 2"):
        train(diffusion(), data, num_epochs=3, resume=True, after_epoch=EpochLines(3), **options)
    after = table.read_text()
    assert after.startswith(before) and len(after.splitlines()) == 4
    heads = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert heads == ["epoch 1/2", "epoch 2/2", "epoch 3/3"]
    table.write_text("place,time\n")
    with pytest.raises(ValueError, match="a-history.csv is there, and is no history"):
        train(diffusion(), data, num_epochs=4, resume=True, **options)
    assert table.read_text() == "place,time\n"
