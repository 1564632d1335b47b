"""The methods that a case draws from: every rule, every input rule, both spellings, both references."""

from __future__ import annotations

# Continuous in their arithmetic, or kinked only where exact cases are exact.
EXACT_METHODS = (
    "gradient", "gradient_x_sign", "gradient_x_sign_mu_0_5", "input_t_gradient", "guided_backprop", "deconvnet",
    "lrp_z", "lrp_z_IB", "lrp_epsilon_0_1", "lrp_epsilon_0_01_IB", "lrp_epsilon", "lrp_epsilon_0_25_std_x",
    "lrp_flat", "lrp_w_square", "lrp_alpha_1_beta_0", "lrp_alpha_2_beta_1", "lrp_alpha_1_beta_0_IB",
    "lrp_alpha_2_beta_1_IB", "lrp_alpha_3_beta_2", "lrp_z_plus", "lrp_z_plus_fast", "lrp_gamma",
    "lrp_sequential_composite_a", "lrp_sequential_composite_b", "lrp_rule_until_index",
    "lrp.sequential_preset_a", "lrp.sequential_preset_b", "lrp.sequential_preset_a_flat",
    "lrp.sequential_preset_b_flat", "lrp.sequential_preset_b_flat_until_idx",
    "lrp.z", "lrp.epsilon", "lrp.alpha_2_beta_1", "lrp.flat", "lrp.w_square",
    "lrpsign_z", "lrpsign_epsilon_0_25_std_x", "lrpsign_epsilon_0_25_std_x_mu_0_5", "lrpsign_alpha_1_beta_0",
    "lrpz_epsilon_0_1", "lrpz_alpha_1_beta_0", "zblrp_epsilon_0_1_VGG16ILSVRC", "zblrp_alpha_1_beta_0_VGG16ILSVRC",
    "w2lrp_epsilon_0_1", "w2lrp_sequential_composite_a", "flatlrp_alpha_1_beta_0", "flatlrp_epsilon_0_25_std_x",
    "flatlrp_sequential_composite_b", "deep_taylor", "deep_taylor.bounded",
)  # fmt: skip
# Integrated gradients step over fractions that no float holds, and Grad-CAM truncates to 8 bits: exact ties of an
# exact case would be broken there by rounding alone.
METHODS = (
    *EXACT_METHODS, "integrated_gradients", "innvestigate.integrated_gradients", "smoothgrad",
    "innvestigate.smoothgrad", "vargrad", "grad_cam", "grad_cam_timeseries", "guided_grad_cam",
)  # fmt: skip
