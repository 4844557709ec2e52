# For editors and type checkers: the names that `__init__.py` gives on demand.
__version__: str

from .schedules import (
    linear_beta_schedule as linear_beta_schedule,
    cosine_beta_schedule as cosine_beta_schedule,
    logsnr_beta_schedule as logsnr_beta_schedule,
)
from .diffusion import GaussianDiffusion as GaussianDiffusion
from .guidance import autoguide as autoguide, guide as guide, randomly_set_unconditioned as randomly_set_unconditioned
from .sampling import (
    Step as Step,
    ddpm_rule as ddpm_rule,
    time_grid as time_grid,
    reverse_process as reverse_process,
    p_sample as p_sample,
    p_sample_loop as p_sample_loop,
    p_sample_loop_all as p_sample_loop_all,
)
from .ddim import ddim_rule as ddim_rule, ddim_sample as ddim_sample, ddim_sample_loop as ddim_sample_loop
from .solvers import dpm_solver_rule as dpm_solver_rule, unipc_rule as unipc_rule, heun_rule as heun_rule, sample as sample
from .blocks import (
    SinusoidalPositionEmbedding as SinusoidalPositionEmbedding,
    ConditionalChain as ConditionalChain,
    ConditionalSkipConnection as ConditionalSkipConnection,
    ConditionalMLP as ConditionalMLP,
    ConvEmbed as ConvEmbed,
    ResBlock as ResBlock,
    down as down,
    up as up,
)
from .attention import scaled_dot_attention as scaled_dot_attention, MultiheadAttention as MultiheadAttention
from .unet import UNet as UNet, UNetFixed as UNetFixed, UNetConditioned as UNetConditioned
from .data import (
    make_spiral as make_spiral,
    make_s_curve as make_s_curve,
    make_moons as make_moons,
    make_shapes as make_shapes,
    load_mnist as load_mnist,
    split_validation as split_validation,
    images_from_folder as images_from_folder,
    labelled_images_from_folder as labelled_images_from_folder,
    read_folder as read_folder,
    find_duplicates as find_duplicates,
    flatten_image as flatten_image,
    square_image as square_image,
    subject_box as subject_box,
)
from .training import train as train, batched_loss as batched_loss, batched_metric as batched_metric, random_flip as random_flip
from .frechet import LeNet5 as LeNet5, frechet_distance as frechet_distance, fld as fld
from .plots import image_grid as image_grid, contact_sheet as contact_sheet
from .pretrained import load_pretrained as load_pretrained, save_pretrained as save_pretrained
from .widgets import (
    stepper as stepper,
    forward_stepper as forward_stepper,
    schedule_explorer as schedule_explorer,
    guidance_explorer as guidance_explorer,
    ddim_explorer as ddim_explorer,
    Film as Film,
    make_film as make_film,
    sample_film as sample_film,
    forward_film as forward_film,
    schedule_film as schedule_film,
    guidance_film as guidance_film,
    ddim_film as ddim_film,
)
from .features import (
    Encoder as Encoder,
    train_encoder as train_encoder,
    save_encoder as save_encoder,
    load_encoder as load_encoder,
    picture_distance as picture_distance,
    precision_recall as precision_recall,
    nearest as nearest,
    nearest_panel as nearest_panel,
    copy_share as copy_share,
    colour_statistics as colour_statistics,
    colour_table as colour_table,
)
from .cli import ddpm_sample as ddpm_sample, ddpm_train as ddpm_train, ddpm_fld as ddpm_fld, ddpm_judge as ddpm_judge
