"Denoising diffusion on small data"
__version__ = "0.1.0"

from importlib import import_module as _import_module

# What `from denoising_diffusion import …` gives, by module. A module is loaded when one of its
# names is first asked for, so sampling never waits for plots or data. No name is a module's.
_names = {
    "schedules": """linear_beta_schedule cosine_beta_schedule logsnr_beta_schedule
        clipped_snr_weights lognormal_weights""",
    "diffusion": "GaussianDiffusion gaussian_denoiser",
    "guidance": "autoguide cycle_labels guide randomly_set_unconditioned",
    "sampling": """Step SeededNoise ddpm_rule time_grid logsnr_grid reverse_process p_sample
        p_sample_loop p_sample_loop_all""",
    "ddim": "ddim_rule ddim_sample ddim_sample_loop",
    "solvers": "dpm_solver_rule unipc_rule heun_rule",
    "samplers": "sample sampler_rule resolve_sampling unscale",
    "editing": "image_to_image inpaint invert interpolate",
    "blocks": """SinusoidalPositionEmbedding ConditionalChain ConditionalSkipConnection
        ConditionalMLP ConvEmbed ResBlock down up""",
    "attention": "scaled_dot_attention MultiheadAttention",
    "unet": "UNet UNetFixed UNetConditioned",
    "points": """make_spiral make_s_curve make_moons make_shapes distance_to_curve
        sliced_wasserstein""",
    "data": "load_mnist split_validation",
    "images": """images_from_folder labelled_images_from_folder read_folder find_duplicates
        flatten_image square_image subject_box""",
    "datasets": "load_data load_emoji LoadedData",
    "fitting": "batched_loss batched_metric random_flip",
    "training": "train",
    "plots": "image_grid contact_sheet plot_points plot_steps",
    "pretrained": "load_pretrained save_pretrained pretrained_names",
    "recipes": "find_recipe",
    "watching": "EpochLines TensorBoardWriter training_hint",
    "metrics": "frechet_distance precision_recall",
    "frechet": "LeNet5 Reference fld report train_reference save_reference load_reference",
    "features": """Encoder train_encoder save_encoder load_encoder picture_distance nearest_images
        nearest_panel memorization_rate color_statistics color_table""",
    "detector": "Detector train_detector detector_auc drawing_statistics",
    "outputs": "save_samples",
    "pages": "Film",
    "films": "make_film sample_film forward_film schedule_film guidance_film ddim_film",
    "widgets": "stepper forward_stepper schedule_explorer guidance_explorer ddim_explorer",
    "cli": "ddpm_sample ddpm_train",
    "measuring": "ddpm_fld ddpm_measure ddpm_reference",
    "fields": "field_film density_film compare_film tilt_film TrainingRecorder",
}
_module_of = {name: module for module, names in _names.items() for name in names.split()}
__all__ = [*_module_of]


def __getattr__(name):
    if name not in _module_of:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_module(f"{__name__}.{_module_of[name]}")
    globals()[name] = value = getattr(module, name)
    return value


def __dir__(): return sorted({*globals(), *__all__})
