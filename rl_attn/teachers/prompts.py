"""The words a teacher is asked with: what to find, what else there is, and in which sentences.

    Prompts(foreground=("digit",), background=("background", "dark", "black"))

A background word takes away from the foreground what is the background's own: CLIP-ES scores each
class by a softmax among itself and these words.
"""

from dataclasses import dataclass

from rl_attn.errors import UserError

#: CLIP-ES (Lin et al. 2023): of many templates, the one with the best masks on VOC.
ORIGAMI = "a clean origami {}."
#: What GALS (Petryk et al. 2022) asks with; the maps of several templates are averaged there.
PHOTO = ("a photo of a {}", "an image of a {}")

#: The background of CLIP-ES on VOC: things often seen around the classes and not among them.
CLIP_ES_BACKGROUND = (
    *("ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river"),
    *("sea", "railway", "railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean"),
    *("road", "rock", "street", "valley", "bridge", "sign"),
)


@dataclass(frozen=True)
class Prompts:
    """Words for what to look at, and for what else there is.

    >>> prompts = Prompts(("imp", "demon"), background=("wall", "floor"))
    >>> len(prompts.foreground)
    2
    """

    foreground: tuple[str, ...]  # classes, in the order of the labels, or one word for all
    background: tuple[str, ...] = CLIP_ES_BACKGROUND
    templates: tuple[str, ...] = (ORIGAMI,)

    def __post_init__(self) -> None:
        if not self.foreground:
            raise UserError("no foreground words: say what the masks should cover")
        wrong = [template for template in self.templates if template.count("{}") != 1]
        if wrong or not self.templates:
            shown = wrong[0] if wrong else self.templates
            raise UserError(f"template {shown!r} needs one {{}}, where the word goes")
        both = set(self.foreground) & set(self.background)
        if both:
            raise UserError(f"{sorted(both)[0]!r} is foreground and background: keep one of them")

    @property
    def words(self) -> tuple[str, ...]:
        """Foreground, then background."""
        return (*self.foreground, *self.background)


#: Learning to Look (Yang et al. 2025), Appendix B, by the names of our data sets.
LEARNING_TO_LOOK = {
    "color-mnist": Prompts(("digit",), ("Background", "dark", "black")),
    "decoy-mnist": Prompts(
        ("digit",), ("Background", "dark", "black", "corner", "patch", "box", "corner patch")
    ),
}
