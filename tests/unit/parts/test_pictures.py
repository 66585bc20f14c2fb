"""Pictures of islands and curves of a training."""

from xml.etree import ElementTree

import numpy as np
import torch

from helpers import nested
from regionflow.formats.islands import label_maps
from regionflow.formats.parts import PartTargets
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.curves import curves
from regionflow.parts.islands import agreement, fit_projection
from regionflow.parts.options import StudentOptions
from regionflow.parts.pictures import TILE, islands, picture, unroll
from regionflow.parts.targets import members


def test_a_picture_has_a_row_per_level_and_a_column_per_iteration() -> None:
    torch.manual_seed(0)
    student = Agglomerator(StudentOptions(size=24, levels=3, dim=16, patch_size=2)).eval()
    image, labels = nested.draw(0, 24)
    parts = nested.true_parts(labels, 3)
    targets = PartTargets(nested.simple_embedding(16)(image, parts), parts.index, members(parts))
    unrolled = unroll(student, torch.rand(1, 3, 24, 24))
    assert unrolled.embeddings.shape == (6, 9, 3, 16)
    made = islands(unrolled, targets, fit_projection(targets.embeddings))
    assert made.colours.shape == (6, 9, 3, 3)
    assert made.agreement.shape == (6, 3)
    sheet = np.asarray(picture(image, made, label_maps(parts)))
    assert sheet.shape[1] >= 8 * TILE
    assert sheet.shape[0] >= 3 * TILE
    # The teacher's tile of the top level: as many colours as there are wholes.
    teacher = sheet[32 : 32 + TILE, TILE + 4 : 2 * TILE + 4].reshape(-1, 3)
    assert len(np.unique(teacher, axis=0)) == len(np.unique(parts.index[:, 2]))


def test_embeddings_are_in_the_teachers_units() -> None:
    torch.manual_seed(0)
    student = Agglomerator(StudentOptions(size=24, levels=3, dim=16, patch_size=2)).eval()
    images = torch.rand(1, 3, 24, 24)
    plain = unroll(student, images)
    student.target_mean.fill_(3.0)
    student.target_std.fill_(2.0)
    scaled = unroll(student, images)
    np.testing.assert_allclose(scaled.embeddings, plain.embeddings * 2 + 3, rtol=1e-5)
    np.testing.assert_array_equal(scaled.levels, plain.levels)
    np.testing.assert_allclose(plain.levels[-1], student(images).levels[0].detach().numpy(), atol=1e-6)


def test_agreement_is_that_of_the_levels_after_each_iteration() -> None:
    torch.manual_seed(0)
    student = Agglomerator(StudentOptions(size=24, levels=3, dim=16, patch_size=2)).eval()
    image, labels = nested.draw(0, 24)
    parts = nested.true_parts(labels, 3)
    targets = PartTargets(nested.simple_embedding(16)(image, parts), parts.index, members(parts))
    images = torch.rand(1, 3, 24, 24)
    made = islands(unroll(student, images), targets, fit_projection(targets.embeddings))
    for state, scores in zip(list(student.iterate(images))[1:], made.agreement, strict=True):
        levels = state[0].permute(2, 0, 1).detach().numpy()
        np.testing.assert_allclose(scores, agreement(levels, targets.index, targets.members), atol=1e-6)


def test_curves_are_an_svg_with_a_line_for_every_series() -> None:
    text = curves([5, 10, 15], [("loss", [("train", [3.0, 2.0, 1.0]), ("mean <target>", [2.5])]), ("empty", [])])
    root = ElementTree.fromstring(text)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 2
    assert "nan" not in curves([1, 2], [("a", [("b", [float("nan"), 1.0])])])
