"""Features of an object in a cutout that are measured, not learned: what learned ones are held against."""

import numpy as np

from armillary.cutouts import Cutouts
from armillary.object_photometry import aperture_magnitudes, colour_features
from armillary.object_shapes import shape_numbers
from armillary.principal_components import Components, project

SIMPLE = ("pca", "colours", "photometry", "shapes")


def simple_features(cutouts: Cutouts, components: Components) -> dict[str, np.ndarray]:
    """The features SIMPLE by name, (N, d) each: principal components; magnitudes and colours; these and concentrations;
    shapes. NaN where a band is missing, but for the components."""
    magnitudes, concentrations = aperture_magnitudes(cutouts)
    return {
        "pca": project(cutouts, components),
        "colours": colour_features(magnitudes),
        "photometry": colour_features(magnitudes, concentrations),
        "shapes": shape_numbers(cutouts, components.image_px),
    }
