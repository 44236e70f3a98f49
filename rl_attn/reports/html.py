"""HTML of the templates in `template/`; whatever comes from files is escaped."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def html(template: str, title: str, **values: Any) -> str:
    """A page, its styles and script inside it."""
    environment = Environment(
        loader=PackageLoader("rl_attn.reports", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(title=title, **values)
