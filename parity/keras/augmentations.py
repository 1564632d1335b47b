"""Layers that augment images: they change them in training alone."""

from __future__ import annotations

RANDOM = (
    "AugMix", "CutMix", "Equalization", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration",
    "RandomColorJitter", "RandomContrast", "RandomElasticTransform", "RandomErasing", "RandomFlip",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHeight", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear",
    "RandomTranslation", "RandomWidth", "RandomZoom", "Solarization",
)  # fmt: skip
"""Augmentations that do nothing at inference."""
AUGMENTATIONS = (*RANDOM, "RandomCrop")
"""All of them; at inference a random crop takes the middle in Keras 2, and nothing in Keras 3."""
TOLD_TO_TRAIN = (*AUGMENTATIONS, "Resizing", "CenterCrop")
"""Layers whose calls Keras 3 writes down with training=True, their default, where nobody asked for it."""
