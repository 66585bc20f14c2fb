"""Pictures of islands and curves of a training."""

from xml.etree import ElementTree

import numpy as np
import torch

from helpers import nested
from regionflow.formats import rle
from regionflow.formats.parts import EMPTY, PartTargets
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.curves import curves
from regionflow.parts.islands import agreement, fit_projection
from regionflow.parts.options import StudentOptions
from regionflow.parts.pictures import TILE, islands, label_maps, picture
from regionflow.parts.targets import members


def test_a_picture_has_a_row_per_level_and_a_column_per_iteration() -> None:
    torch.manual_seed(0)
    student = Agglomerator(StudentOptions(size=24, levels=3, dim=16, patch_size=2)).eval()
    image, labels = nested.draw(0, 24)
    parts = nested.true_parts(labels, 3)
    targets = PartTargets(nested.simple_embedding(16)(image, parts), parts.index, members(parts))
    made = islands(student, torch.rand(1, 3, 24, 24), targets)
    assert made.embeddings.shape == (6, 9, 3, 16)
    assert made.agreement.shape == (3,)
    maps = label_maps(24, parts.index, [rle.decode(mask) for mask in parts.masks])
    sheet = np.asarray(picture(image, targets, made, fit_projection(targets.embeddings), maps))
    assert sheet.shape[1] >= 8 * TILE
    assert sheet.shape[0] >= 3 * TILE
    # The teacher's tile of the top level: as many colours as there are wholes.
    teacher = sheet[32 : 32 + TILE, TILE + 4 : 2 * TILE + 4].reshape(-1, 3)
    assert len(np.unique(teacher, axis=0)) == len(np.unique(parts.index[:, 2]))


def test_embeddings_are_in_the_teachers_units() -> None:
    torch.manual_seed(0)
    student = Agglomerator(StudentOptions(size=24, levels=3, dim=16, patch_size=2)).eval()
    image, labels = nested.draw(0, 24)
    parts = nested.true_parts(labels, 3)
    targets = PartTargets(nested.simple_embedding(16)(image, parts), parts.index, members(parts))
    images = torch.rand(1, 3, 24, 24)
    plain = islands(student, images, targets)
    student.target_mean.fill_(3.0)
    student.target_std.fill_(2.0)
    scaled = islands(student, images, targets)
    np.testing.assert_allclose(scaled.embeddings, plain.embeddings * 2 + 3, rtol=1e-5)
    np.testing.assert_array_equal(scaled.agreement, plain.agreement)
    levels = student(images).levels[0].detach().numpy()
    np.testing.assert_allclose(plain.agreement, agreement(levels, targets.index, targets.members), atol=1e-6)


def test_label_maps_draw_small_masks_over_large_ones() -> None:
    whole, half = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    half[:2] = True
    maps = label_maps(4, np.array([[1, 0], [0, EMPTY]]), [whole, half])
    assert (maps[0][:2] == 1).all()
    assert (maps[0][2:] == 0).all()
    assert (maps[1] == 0).all()


def test_curves_are_an_svg_with_a_line_for_every_series() -> None:
    text = curves([5, 10, 15], [("loss", [("train", [3.0, 2.0, 1.0]), ("mean <target>", [2.5])]), ("empty", [])])
    root = ElementTree.fromstring(text)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 2
    assert "nan" not in curves([1, 2], [("a", [("b", [float("nan"), 1.0])])])
