"""A segmenter that compares an extractor's features: they are an input of its masks, and of no other's."""

from helpers.scenes import save_photos
from helpers.workflow import Workspace
from regionflow.config.load import load_config
from regionflow.features.kinds import extractor
from regionflow.formats.regions import read_regions
from regionflow.images.read import read_image
from regionflow.masks.kinds import segmenter

CONFIG = {
    "images": {"dir": "photos"},
    "extractors": {"vit": {"type": "timm", "model": "test_vit", "random_seed": 0, "stored": "float32"}},
    "segmenters": {"learned": {"type": "merge_tree", "features": "vit", "feature_weight": 0.9}},
}
MASKS = [f"results/masks/{name}/one.json" for name in ("learned", "merge_tree")]


def test_features_are_an_input_of_its_masks_and_another_extractor_makes_them_stale(tmp_path):
    workspace = Workspace(tmp_path, CONFIG)
    save_photos(tmp_path / "photos", ["one.png"])
    workspace.snakemake(*MASKS)
    learned, default = (read_regions(workspace.path(name)) for name in MASKS)
    assert learned.annotations != default.annotations

    config, image = load_config(CONFIG), read_image(tmp_path / "photos/one.png")
    features = extractor(config.extractors["vit"]).extract(image)
    expected = segmenter(config.segmenters["learned"]).generate(image, features)
    kept = ("segmentation", "predicted_iou", "stability_score")
    assert [[a[key] for key in kept] for a in learned.annotations] == [[a[key] for key in kept] for a in expected]

    workspace.config = {**CONFIG, "extractors": {"vit": {**CONFIG["extractors"]["vit"], "random_seed": 1}}}
    again = workspace.snakemake(*MASKS, "-n")
    assert again.files() == {"results/features/vit/one.h5", MASKS[0]}
