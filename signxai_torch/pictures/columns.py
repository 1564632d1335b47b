"""The columns of a figure: each map with what lies under it, from what the user handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from signxai_torch.pictures.axes import Axes, Channels, Kind, axes_of
from signxai_torch.pictures.backdrop import display, fitted
from signxai_torch.pictures.forms import Array, Named, as_array, named_arrays
from signxai_torch.pictures.panel import CELLS, LEADS, MOST_BARS, SIDE, Panel, Reduce, planes


@dataclass
class Column:
    """A batch of maps of one method or input.

    Attributes
    ----------
    title, where : str
        What titles and messages call it.
    kind : {"image", "series", "vector"}
        What the maps are of.
    values : numpy.ndarray
        (N, C, H, W), (N, C, T) or (N, F).
    image : numpy.ndarray or None
        What was explained, in the same layout.
    shows_image : bool
        Whether the image is shown beside the maps: those of the first column that has it.
    names : sequence of str
        Of channels or features; empty for their numbers.
    lead_layout : bool
        Whether the channels are leads of an ECG.
    """

    title: str
    where: str
    kind: Kind
    values: Array
    image: Array | None = None
    shows_image: bool = False
    names: Sequence[str] = ()
    lead_layout: bool = False

    @property
    def no_numbers(self) -> str:
        """How many values are no numbers, and where the first is; "" if all are."""
        bad = ~np.isfinite(self.values)
        if not bad.any():
            return ""
        first = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
        return f"{self.where} has {int(bad.sum())} values of {bad.size} that are not finite, the first at {first}"

    def panels(self, sample: int, reduce: Reduce, overlay: float, with_image: bool = True) -> list[Panel]:
        """Return what is drawn of one sample."""
        values = self.values[sample]
        bad = int((~np.isfinite(values)).sum())
        notes = [f"{bad} of {values.size} values no number (green)"] if bad else []
        under = None if self.image is None else self.image[sample]
        if self.kind == "vector" and len(values) > MOST_BARS:
            notes.append(f"{len(values)} features, {CELLS} in a line")
        if self.kind != "image":
            relevance = values.astype(np.float64)
            return [Panel(self.kind, relevance, self.title, notes, under, self.names, self.lead_layout)]
        backdrop = None if under is None else display(under, SIDE)
        shown = []
        if with_image and self.shows_image:
            shown.append(Panel("image", None, "input", backdrop=backdrop))
        return shown + [
            Panel(
                "image", plane, " ".join(part for part in (self.title, which) if part), list(notes),
                backdrop if overlay else None, overlay=overlay,
            )
            for which, plane in planes(values, reduce)
        ]  # fmt: skip


def columns_of(
    relevance: Any,
    image: Any,
    kind: Kind | None,
    channels: Channels | None,
    leads: bool | Sequence[str],
    names: Sequence[str] | None,
) -> list[Column]:
    """Return a column for every map that was handed in; see `signxai_torch.show` for the arguments and errors."""
    named = named_arrays(relevance)
    images = _images(image, named)
    leads = LEADS if leads is True else tuple(map(str, leads)) if leads else ()
    if leads and names is not None:
        raise ValueError("leads= names the channels, and so does names=; give one of them")
    if leads and kind not in (None, "series"):
        raise ValueError(f"leads= are of time series, and kind={kind!r} says otherwise")
    called = leads or (() if names is None else tuple(map(str, names)))
    columns: list[Column] = []
    seen: list[Array] = []
    for one, under in zip(named, images, strict=True):
        axes = _axes(one, under, "series" if leads else kind, channels, len(leads))
        values = axes.canonical(one.values)
        column = Column(one.title, one.where, axes.kind, values, names=called, lead_layout=bool(leads))
        if under is not None:
            column.image = fitted(under, values.shape, axes.kind, one.where)
            column.shows_image = not any(under is other for other in seen)
            seen.append(under)
        if called and axes.kind != "image" and len(called) != values.shape[1]:
            what = "channels" if axes.kind == "series" else "features"
            raise ValueError(f"{one.where} has {values.shape[1]} {what}, and there are {len(called)} names of them")
        columns.append(column)
    return columns


def _axes(one: Named, image: Array | None, kind: Kind | None, channels: Channels | None, leads: int) -> Axes:
    """Return the axes of a map, for which the image may say what its own shape leaves open."""
    shape = one.values.shape
    if leads and channels is None and len(shape) in (2, 3) and shape[-2] != leads and shape[-1] == leads:
        channels = "last"
    if image is not None and kind in (None, "image"):
        if image.ndim == 4 and len(shape) == 3 and shape in (
            (len(image), *image.shape[2:]), (len(image), *image.shape[1:3])
        ):  # fmt: skip
            return Axes("image", "NHW")
        if kind is None and image.ndim in (3, 4) and len(shape) in (2, 3):
            try:
                kind = axes_of(image.shape, "the image").kind
            except ValueError:
                kind = None
    return axes_of(shape, one.where, kind, channels)


def _images(image: Any, named: Sequence[Named]) -> list[Array | None]:
    """Return for each map what was explained: the same for all, or what has its key or number in `image`."""
    if image is None:
        return [None] * len(named)
    pictures = named_arrays(image, "image") if isinstance(image, (Mapping, list, tuple)) else []
    if not pictures or pictures[0].path == ():
        return [as_array(image, "image")] * len(named)
    by_path = {picture.path: picture.values for picture in pictures}
    fitting = [[values for path, values in by_path.items() if path == shown.path[-len(path) :]] for shown in named]
    if all(fitting):
        return [values[0] for values in fitting]
    shapes = {picture.values.shape for picture in pictures}
    if isinstance(image, (list, tuple)) and len(shapes) == 1:  # an image for each sample
        together = np.stack([picture.values for picture in pictures])
        return [together] * len(named)
    told = ", ".join(picture.where for picture in pictures[:6])
    raise ValueError(
        f"there is no image for some of the maps: {told} and {', '.join(one.where for one in named[:6])}. Give one for "
        "all, or one for each under the same key"
    )
