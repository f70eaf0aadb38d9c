"""The size of a voxel as an image file states it."""

from math import isfinite
from typing import NamedTuple
from xml.etree import ElementTree

import tifffile

# Inches are missing on purpose: many programs write the dots per inch of a screen, which nobody has measured.
MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometre", r"\u00B5m"), 1.0),
    **{"pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6},
}
RESOLUTION_UNITS: dict[int, str] = {tifffile.RESUNIT.CENTIMETER: "cm", tifffile.RESUNIT.INCH: "inch"}


class FileScale(NamedTuple):
    """What a file says of its scale."""

    sizes: dict[str, float]
    """Micrometres by axis, for the axes that it states in a way that can be used."""
    stated: str
    """Its own words, for errors; empty if it states nothing."""


def read_scale(series: tifffile.TiffPageSeries) -> FileScale:
    """Read the size of a voxel; what is no positive finite number of a known unit counts as not stated."""
    tiff, page = series.parent, series.keyframe
    if tiff is None:
        return FileScale({}, "")
    if tiff.is_ome:
        return _read_ome(tiff.ome_metadata or "")
    if tiff.is_imagej:
        return _read_imagej(page, tiff.imagej_metadata or {})
    return _read_resolution(page, RESOLUTION_UNITS.get(page.resolutionunit, ""))


def _read_ome(xml: str) -> FileScale:
    """Read the sizes that all images in a file share."""
    try:
        found = ElementTree.fromstring(xml).findall(".//{*}Pixels")
    except ElementTree.ParseError:
        return FileScale({}, "")
    scales = [_read_pixels(pixels) for pixels in found] or [FileScale({}, "")]
    if all(scale.sizes == scales[0].sizes for scale in scales):
        return scales[0]
    return FileScale({}, "; ".join(dict.fromkeys(scale.stated for scale in scales)))


def _read_pixels(pixels: ElementTree.Element) -> FileScale:
    """Read the sizes that an element Pixels of OME-XML states."""
    texts = {axis: pixels.attrib.get(f"PhysicalSize{axis}") for axis in "ZYX"}
    units = {axis: pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"}
    sizes = {axis: _in_micrometres(text, units[axis]) for axis, text in texts.items()}
    stated = [f'PhysicalSize{axis}="{text}" {units[axis]}' for axis, text in texts.items() if text is not None]
    return _keep_usable(sizes, ", ".join(stated))


def _read_imagej(page: tifffile.TiffPage, metadata: dict) -> FileScale:
    """Read the resolution tags, whose unit stands in ImageJ's description, as the distance of slices does."""
    unit = str(metadata.get("unit", ""))
    sizes, stated = _read_resolution(page, unit)
    if "spacing" not in metadata:
        return FileScale(sizes, stated)
    spacing = _in_micrometres(metadata["spacing"], unit)
    return _keep_usable({**sizes, "Z": spacing}, ", ".join(filter(None, [f"spacing={metadata['spacing']}", stated])))


def _read_resolution(page: tifffile.TiffPage, unit: str) -> FileScale:
    """Read sizes along Y and X from the resolution tags: pixels per unit; without a unit they state nothing."""
    tags = {axis: page.tags.get(f"{axis}Resolution") for axis in "YX"}
    values = {axis: tag.value for axis, tag in tags.items() if tag is not None}
    sizes = {axis: _in_micrometres(_divide(value), unit) for axis, value in values.items()}
    stated = ", ".join(f"{axis}Resolution={_write_ratio(value)}" for axis, value in values.items())
    return _keep_usable(sizes, f"{stated} per {unit}" if stated and unit else "")


def _divide(ratio: object) -> float | None:
    """Length of a pixel from pixels per unit, which TIFF stores as a fraction; None if it is none."""
    if not (isinstance(ratio, tuple) and len(ratio) == 2 and all(isinstance(part, int) for part in ratio)):
        return None
    return ratio[1] / ratio[0] if ratio[0] else None


def _write_ratio(ratio: object) -> str:
    return "/".join(map(str, ratio)) if isinstance(ratio, tuple) else str(ratio)


def _in_micrometres(length: object, unit: str) -> float | None:
    """Convert a length; None if it is no number or the unit is not known."""
    try:
        return float(length) * MICROMETRES[unit]  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError):
        return None


def _keep_usable(sizes: dict[str, float | None], stated: str) -> FileScale:
    usable = {axis: size for axis, size in sizes.items() if size is not None and isfinite(size) and size > 0}
    return FileScale(usable, stated)
