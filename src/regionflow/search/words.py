"""Words as a query: their vector in the space of a text-image model."""

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import UserError
from regionflow.semantics.words import class_rows, load_clip
from regionflow.semantics.words_options import WordsOptions


def vector_of(words: str, model: str, pretrained: str, checkpoint: str | None = None) -> NDArray[np.float32]:
    """Unit vector [C] of words; synonyms after a bar ("sofa|couch") are averaged, and so are CLIP's templates.

    Raises UserError for no words, an unknown model, or weights that cannot be had.
    """
    synonyms = [word.strip() for word in words.split("|") if word.strip()]
    if not synonyms:
        raise UserError("there are no words to search for")
    # The options are those of a labeler, which has at least two classes; only the model of it is used.
    options = WordsOptions(
        classes=["something", "anything"],
        model=model,
        regions="box",
        pretrained=None if checkpoint else pretrained,
        checkpoint=checkpoint,
    )
    if problems := [*options.problems(), *options.needs_network()]:
        raise UserError("\n".join(problems))
    loaded, _, tokenizer = load_clip(options)
    return class_rows(loaded, tokenizer, [synonyms], options.templates)[0].numpy()
