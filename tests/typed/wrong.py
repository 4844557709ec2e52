"Twelve mistakes, one a line: type checkers report these lines and no others. It is never run."
import torch

from denoising_diffusion import (
    GaussianDiffusion, UNet, UNetConditioned, ddim_sample_loop, images_from_folder,
    linear_beta_schedule, load_pretrained, make_spiral, p_sample_loop, sample_film, train)

diffusion, data = load_pretrained("spiral"), make_spiral(100)
unet = UNet(1, 16, 100)

linear_beta_schedule("1000")  # error: a string for a number
GaussianDiffusion(torch.ones(10), 2, unet, predicts="v")  # error: the option is `prediction`
p_sample_loop(diffusion, 8, guidance=2.0)  # error: the option is `guidance_scale`
ddim_sample_loop(diffusion, 8, eta=0.5)  # error: how many steps?
ddim_sample_loop(diffusion, 8, 1, 10)  # error: the steps are given by keyword
p_sample_loop(diffusion, 8, 1.5)  # error: a label is a number or a name
diffusion.q_smaple(data, 3)  # error: no such method
unet(data)  # error: a network takes times, too
UNetConditioned(1, 16, 100, num_classes=10, drop_out=0.1)  # error: an option passed on, misspelt
images_from_folder("photos", 32, backgruond="black")  # error: the same of a function
train(diffusion, data, num_epochs=2).draw()  # error: no such method
sample_film("spiral").save(3)  # error: a number for a path
