"""Layers that augment images: they change them in training alone."""

from __future__ import annotations

RANDOM_IN_KERAS_2 = (
    "RandomBrightness", "RandomContrast", "RandomFlip", "RandomHeight", "RandomRotation", "RandomTranslation",
    "RandomWidth", "RandomZoom",
)  # fmt: skip
"""Augmentations of Keras 2 that do nothing at inference."""
UNKNOWN_TO_KERAS_2 = (
    "AugMix", "CutMix", "Equalization", "MixUp", "RandAugment", "RandomColorDegeneration",
    "RandomColorJitter", "RandomElasticTransform", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale",
    "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness",
    "RandomShear", "Solarization",
)  # fmt: skip
"""Those of Keras 3 alone."""
RANDOM = (*RANDOM_IN_KERAS_2, *UNKNOWN_TO_KERAS_2)
"""All that do nothing at inference."""
AUGMENTATIONS = (*RANDOM, "RandomCrop")
"""All of them; at inference a random crop takes the middle in Keras 2, and nothing in Keras 3."""
AUGMENTATIONS_OF_KERAS_2 = (*RANDOM_IN_KERAS_2, "RandomCrop")
"""Those that a reference can build."""
TOLD_TO_TRAIN = (*AUGMENTATIONS, "Resizing", "CenterCrop")
"""Layers whose calls Keras 3 writes down with training=True, their default, where nobody asked for it."""
