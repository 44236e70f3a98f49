"""Pages of the site that are made from the code, so that what is registered has its page.

    python docs/pages.py        # writes them to docs/made/, as the build of the site does

Every command, method, environment, data set, map, network and backbone gets a page: its docstring,
its flags or options, how to use it, and its API. Docstrings are Markdown, and are pasted as such.
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import page_parts as parts
from page_parts import MADE, ROOT

from rl_attn.run.help import takes, text_of

#: Packages whose `__all__` is the public interface, in the order of the reference.
PUBLIC = (
    "rl_attn",
    "rl_attn.attention",
    "rl_attn.attention.losses",
    "rl_attn.sb3",
    "rl_attn.statistics",
    "rl_attn.envs",
    "rl_attn.agents",
    "rl_attn.agents.networks",
    "rl_attn.rl.methods",
    "rl_attn.supervised.data",
    "rl_attn.supervised.methods",
    "rl_attn.teachers",
)


@dataclass(frozen=True)
class Kind:
    """One kind of thing that has a page each."""

    folder: str
    title: str
    intro: str
    names: Callable[[], Iterable[str]]
    page: Callable[[str], str]


def pages() -> dict[str, str]:
    """Path below docs/made -> Markdown."""
    found = named()
    found |= {f"api/{name.partition('.')[2] or name}.md": parts.api(name) for name in PUBLIC}
    files = ("CONTRIBUTING.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md")
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8").replace("](docs/", "](../")
        for other in files:
            text = text.replace(f"]({other})", f"](./{other.lower()})")
        found[file.lower()] = re.sub(r"\]\((?!https?:|\.|#)", "](../../", text)
    return found


def named() -> dict[str, str]:
    """The pages of what has a name, and the lists that lead there."""
    found = {}
    for kind in KINDS:
        made = {name: kind.page(name) for name in kind.names()}
        for name, text in made.items():
            found[f"{kind.folder}/{file_of(name)}"] = _leaf(kind, text)
        found[f"{kind.folder}/index.md"] = _index(kind, made)
    return found


def write(folder: Path = MADE) -> None:
    """Write every page; only what has changed is touched, so that a second build is short."""
    made = pages()
    for path, text in made.items():
        file = folder / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    for file in folder.rglob("*.md"):
        if str(file.relative_to(folder)) not in made:
            file.unlink()


def file_of(name: str) -> str:
    """The file of a name, which may have a colon, and `index` is the list of all."""
    return name.replace(":", "-").replace("+", "-and-") + ".md"


# ---- one page of each kind -------------------------------------------------------------------


def _command(name: str) -> str:
    from rl_attn.run.commands import COMMANDS, settings_of

    module = COMMANDS[name].load()
    kind = settings_of(module, [])
    return parts.join(
        f"# rl-attn {name}",
        parts.doc(module),
        "## Flags",
        parts.flags(kind, of=f"rl-attn {name} --help"),
    )


def _agents_method(name: str) -> str:
    from rl_attn.rl.methods import METHODS, Method

    kind = METHODS[name]
    return parts.join(
        f"# {name}",
        parts.doc(sys.modules[kind.__module__]),
        parts.code(f"rl-attn ppo --env DefendCenter --method {name} --total-timesteps 100000"),
        "## Flags of its own",
        parts.flags(kind, without=Method),
        "All methods for agents, their cost and their sources: [](../../methods.md).",
        parts.source(kind),
    )


def _classifier_method(name: str) -> str:
    from rl_attn.supervised.methods import METHODS, Method

    kind = METHODS[name]
    return parts.join(
        f"# {name}",
        parts.doc(sys.modules[kind.__module__]),
        parts.doc(kind),
        parts.code(f"rl-attn train --method {name} --data decoy-mnist"),
        "## Flags of its own",
        parts.flags(kind, without=Method),
        parts.recipes(kind.recipes),
        parts.needs(kind),
        parts.source(kind),
    )


def _environment(name: str) -> str:
    from rl_attn.env_settings import EnvSettings
    from rl_attn.envs.doom.scenarios import SCENARIOS
    from rl_attn.envs.registry import find

    scenario = SCENARIOS[name]
    known = find(EnvSettings(env=name))
    limit = f"{scenario.time_limit} tics" if scenario.time_limit else "none"
    rows = [
        ("gymnasium", f"`rl_attn.envs:rl_attn/{name}-v0`"),
        ("objects that can be shown", parts.listed(scenario.shown) or "not listed"),
        ("actions", parts.listed(known.action_names) or f"`{known.action_space}`"),
        ("frame (H, W, C)", f"`{known.frame_shape}`"),
        ("time limit", f"{limit} (35 tics are a second)"),
    ]
    return parts.join(
        f"# {name}",
        parts.picture("environments", name, "a frame, and the same with its mask"),
        f"ViZDoom's `{Path(scenario.config).name}`; targets are {parts.listed(scenario.targets)}.",
        parts.table(("", ""), rows),
        "## Use",
        parts.code(
            f"rl-attn ppo --env {name} --camal 0.1 --total-timesteps 100000",
            f"rl-attn random-policy --env {name} --out runs/random",
        ),
        "Targets are changed with `--targets`, frames with `--frame-size`; see "
        "[](../../environments.md).",
    )


def _dataset(name: str) -> str:
    from rl_attn.supervised.data import LOADERS, options_of

    loader = LOADERS[name]
    function = getattr(loader, "func", loader)
    described = [parts.doc(function), parts.doc(sys.modules[function.__module__])]
    shared = list(LOADERS.modules.values()).count(function.__module__) > 1
    signature = inspect.signature(loader).parameters.values()
    defaults = {p.name: text_of(p.default) for p in signature if p.default is not p.empty}
    rows = [
        (f"`{key}`", f"`{takes(hint) or '{true,false}'}`", parts.listed([defaults.get(key, "")]))
        for key, hint in options_of(name).items()
    ]
    return parts.join(
        f"# {name}",
        parts.picture("data", name, "pictures, and the same with all but the mask dimmed"),
        *(described if shared else reversed(described)),
        parts.code(f"rl-attn check {name} --sheet {name}.png", f"rl-attn train --data {name}"),
        "## Options",
        "Given as `--data-options key=value` to `rl-attn train` and `rl-attn check`."
        if rows
        else "It has none.",
        parts.table(("option", "value", "default"), rows) if rows else "",
        parts.source(function),
    )


def _map(name: str) -> str:
    from rl_attn import attention

    function = getattr(attention, name.replace("-", "_"), None)
    made_by = attention.MAPS[name]
    kind = attention.MAPS.kinds[name]
    about = {
        "features": "It is made of a layer's feature maps, and has their cells.",
        "blocks": "It is made of a transformer's attention, and has the cells of its patches.",
        "pixels": "It is made of the image's pixels.",
        "probes": "It is made of the score of changed images. It has no gradient: it measures and "
        "explains, and no loss can be trained through it.",
    }
    train = f"rl-attn ppo --env DefendCenter --camal 0.1 --attention {name}"
    measure = f"rl-attn evaluate RUN --attention {name}"
    return parts.join(
        f"# {name}",
        parts.picture("maps", name, "a picture, and the map of a small trained network"),
        parts.doc(function or made_by),
        about[kind],
        parts.code(*([] if kind == "probes" else [train]), measure),
        f"```python\nfrom rl_attn.attention import explain\n\n"
        f'attention = explain("{name}", seen)  # see Seen for what it may be made of\n```',
        parts.source(function) if function else "",
    )


def _network(name: str) -> str:
    from rl_attn.agents import NETWORKS

    kind = NETWORKS[name]
    return parts.join(
        f"# {name}",
        parts.doc(sys.modules[kind.__module__]),
        parts.code(f"rl-attn ppo --env DefendCenter --network {name}"),
        "Flags that all networks take: `--tap`, `--width-scale`, `--recurrent`.",
        parts.source(kind),
    )


def _backbone(name: str) -> str:
    import torch

    from rl_attn.supervised import models
    from rl_attn.supervised.backbones import SMALL, build, parameters_of, tap_layer
    from rl_attn.supervised.settings import OTHERS

    if name in OTHERS:
        return parts.join(
            f"# {name}",
            parts.doc(models),
            "Its layer is found by trying; `--layer NAME` names another.",
        )
    small = name in SMALL
    size = (32, 32) if small else (224, 224)
    with torch.device("cpu" if small else "meta"):  # weights of the large ones would take seconds
        model = build(name, 3, 10, size)
    layer = (
        f"`{tap_layer(model, '', size)}`" if small else "the last that has cells; a run names it"
    )
    about = SMALL[name].__doc__ if small else f"`torchvision.models.{name}`, with a fresh head."
    return parts.join(
        f"# {name}",
        about or "",
        parts.table(
            ("", ""),
            [
                ("parameters, RGB, ten classes", f"{parameters_of(model):,}"),
                ("layer of the attention (`--layer`)", layer),
                ("ImageNet's weights", "no" if small else "`--weights imagenet`"),
            ],
        ),
        parts.code(f"rl-attn train --backbone {name}" + ("" if small else " --size 64")),
    )


def _backbones() -> list[str]:
    from rl_attn.supervised.settings import OTHERS, SMALL, TORCHVISION

    return [*SMALL, *TORCHVISION, *OTHERS]


def _registered(module: str, registry: str) -> Callable[[], Iterable[str]]:
    """The names of a registry, those of somebody else's file included."""
    return lambda: list(getattr(import_module(module), registry))


KINDS = (
    Kind(
        "commands",
        "Commands",
        "Every command is `rl-attn NAME`, and `rl-attn NAME --help` in a terminal.",
        _registered("rl_attn.run.commands", "COMMANDS"),
        _command,
    ),
    Kind(
        "methods",
        "Methods for agents",
        "`rl-attn ppo --method NAME`; several at once are joined by a plus: `camal+drac`.",
        _registered("rl_attn.rl.methods", "METHODS"),
        _agents_method,
    ),
    Kind(
        "classifier-methods",
        "Methods for classifiers",
        "`rl-attn train --method NAME`.",
        _registered("rl_attn.supervised.methods", "METHODS"),
        _classifier_method,
    ),
    Kind(
        "maps",
        "Attention maps",
        "`--attention NAME`, in every command.",
        _registered("rl_attn.attention", "MAPS"),
        _map,
    ),
    Kind(
        "environments",
        "Doom environments",
        "`rl-attn ppo --env NAME`. Any gymnasium environment with a frame and a mask works too: "
        "[](../../environments.md).",
        _registered("rl_attn.envs", "SCENARIOS"),
        _environment,
    ),
    Kind(
        "networks",
        "Networks for agents",
        "`rl-attn ppo --network NAME`.",
        _registered("rl_attn.agents", "NETWORKS"),
        _network,
    ),
    Kind(
        "data",
        "Data sets",
        "`rl-attn train --data NAME`; `rl-attn check NAME --sheet FILE` shows one.",
        _registered("rl_attn.supervised.data", "LOADERS"),
        _dataset,
    ),
    Kind(
        "backbones",
        "Backbones for classifiers",
        "`rl-attn train --backbone NAME`.",
        _backbones,
        _backbone,
    ),
)


# ---- their parts -----------------------------------------------------------------------------


def _index(kind: Kind, made: Mapping[str, str]) -> str:
    rows = [(f"[{name}]({file_of(name)})", _summary(text)) for name, text in made.items()]
    return parts.join(f"# {kind.title}", kind.intro, parts.table(("name", ""), rows))


def _leaf(kind: Kind, text: str) -> str:
    """A page that the sidebar leaves out, since a hundred of them would hide all others there (and
    double the time of the build): it says where its list is."""
    title, rest = text.split("\n", 1)
    above = f"*See all: [{kind.title}](index.md).*"
    return f"---\norphan: true\n---\n\n{title}\n\n{above}\n{rest}"


def _summary(page: str) -> str:
    """The first sentence of a page's prose."""
    parts = [part for part in page.split("\n\n")[1:] if part[0] not in "|#!`:" or part[1] != "`"]
    prose = next((part for part in parts if part[0] not in "|#!:"), "")
    first = re.split(r"(?<! al)(?<!Eq)(?<!Fig)\. ", " ".join(prose.split()))[0]
    return first.rstrip(".:").replace("|", "\\|")


if __name__ == "__main__":
    shutil.rmtree(MADE, ignore_errors=True)
    write()
