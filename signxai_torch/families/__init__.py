"""The methods that are no rules: gradients, sampling, class-activation maps, DeepLIFT, occlusion."""
