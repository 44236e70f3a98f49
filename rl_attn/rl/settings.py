"""Every setting of a PPO run, a section a module: each takes its own and knows no other.

The sections are joined into one command line by inheritance, so that the names stay flat as
CleanRL's are; those of the method stand in the method's file, and `args_type` adds them once it is
known which one. Defaults are CAMAL's Table 8, save for the frame size and the number of steps,
which `configs/ppo/camal_paper.yaml` sets.

Nothing here imports torch or a game: a mistake is answered at once.
"""

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from annotated_types import Interval

from rl_attn.agents.networks import NETWORKS
from rl_attn.env_settings import EnvSettings, check_name
from rl_attn.errors import UserError
from rl_attn.map_names import MAPS
from rl_attn.rl.methods import METHODS, Method
from rl_attn.run import plugins
from rl_attn.run.cli import words_of
from rl_attn.run.help import OneOf
from rl_attn.run.settings import (
    NotNegative,
    PathText,
    Positive,
    Seed,
    Share,
    Threads,
    check,
    is_path,
)

MethodName = Annotated[str, OneOf("rl_attn.rl.methods:METHODS")]


@dataclass
class EnvironmentSettings(EnvSettings):
    """What is played, and what the agent sees of it."""

    frame_stack: Annotated[int, Interval(ge=1, le=64)] = 4
    """frames the network sees, the current one included"""


@dataclass
class NetworkSettings:
    """The actor-critic."""

    network: Annotated[str, OneOf("rl_attn.agents.networks:NETWORKS")] = "nature"
    """the actor-critic by its name: a file of rl_attn/agents/networks, or one of --import"""
    tap: str = ""
    """whose feature maps attention is made of: one of the network's own (default: its last), or any
    layer by its name. nature's are conv1, conv2 and conv3; earlier ones are finer (29x39 and 13x18
    cells, in place of 11x16, of frames of 160x120) and cost more time"""
    width_scale: Annotated[float, Interval(gt=0, le=64)] = 1.0
    """factor on the number of channels of the convolutions"""
    recurrent: Literal["none", "lstm", "gru"] = "none"
    """a recurrent core between the network and its heads; mini-batches are then of whole
    environments"""
    compile: bool = False
    """torch.compile the convolutions"""

    @property
    def network_options(self) -> dict[str, Any]:
        """What is asked of the network beside a tap; one that takes no options can do without."""
        asked = {"width_scale": self.width_scale, "recurrent": self.recurrent}
        return {
            name: value for name, value in asked.items() if value != getattr(NetworkSettings, name)
        }


@dataclass
class AttentionSettings:
    """What is measured of any method, and trained by those on attention."""

    attention_target: Literal["value", "action"] = "value"
    """whose attention: the critic's value (the paper) or the taken action's logit"""
    attention: str = "grad-cam"
    """what map it is: grad-cam (the paper), grad-cam-plus-plus, layer-cam, hires-cam,
    diff-grad-cam, le-grad (of networks with attention); or of pixels, which costs forwards of
    their own: input-gradient, input-x-gradient, guided-backpropagation, integrated-gradients,
    expected-gradients, smooth-grad; or one of --import"""


@dataclass
class PPOSettings:
    """The algorithm, with CleanRL's names."""

    total_timesteps: Annotated[int, Interval(ge=1, le=10**12)] = 100_000
    """agent steps of the whole run, over all environments"""
    num_envs: Annotated[int, Interval(ge=1, le=1024)] = 8
    """environments played at once"""
    num_steps: Annotated[int, Interval(ge=1, le=100_000)] = 128
    """steps of each environment in a rollout"""
    update_epochs: Annotated[int, Interval(ge=1, le=1000)] = 4
    """passes over each rollout"""
    num_minibatches: Positive[int] = 4
    """mini-batches a pass"""
    learning_rate: Positive[float] = 2.5e-4
    """learning rate of Adam"""
    anneal_lr: bool = True
    """lower the learning rate linearly to zero"""
    gamma: Share = 0.99
    """discount factor"""
    gae_lambda: Share = 0.95
    """lambda of generalised advantage estimation"""
    norm_adv: bool = True
    """normalise advantages in each mini-batch"""
    clip_coef: Positive[float] = 0.1
    """clipping of the policy's ratio"""
    clip_vloss: bool = True
    """clip the value loss too"""
    ent_coef: NotNegative[float] = 0.01
    """weight of the entropy bonus"""
    vf_coef: NotNegative[float] = 0.5
    """weight of the value loss"""
    max_grad_norm: Positive[float] = 0.5
    """gradients are clipped to this norm"""
    separate_clipping: bool = False
    """clip the gradients of PPO's loss and of the method's each by itself, not their sum: CAMAL's
    is often several times larger and shrinks PPO's step (costs a second backward pass)"""
    reward_clip: NotNegative[float] = 1.0
    """learn from rewards clipped to [-this, this]; 0: as they are (returns are logged raw)"""
    target_kl: Positive[float] | None = None
    """end an update early when the policy has moved this far"""
    seed: Seed = 1
    """random seed of the whole run"""

    @property
    def batch_size(self) -> int:
        """Steps of a rollout, over all environments."""
        return self.num_envs * self.num_steps

    @property
    def num_updates(self) -> int:
        return self.total_timesteps // self.batch_size


@dataclass
class RunSettings:
    """The run around training: where it computes, what it leaves."""

    config: PathText | None = None
    """YAML file with values for these flags; flags override it"""
    resume: PathText | None = None
    """folder of an interrupted run to continue; everything else is taken from it"""
    run_dir: PathText | None = None
    """folder of this run (default: runs/<env>/<method>-s<seed>-<time>)"""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import", aliases=["--imports"])] = ()
    """modules or files MODULE.py that register networks, methods, environments of your own"""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the hardware is fast at it"""
    threads: Threads = 0
    """CPU threads of torch (0: its own choice)"""
    cuda_graphs: bool = False
    """capture a mini-batch's forward, losses and backward in a CUDA graph and replay it; GPUs only,
    and so far tried on none: compare a run with one without"""

    checkpoint_interval: Positive[int] = 20_000
    """steps between checkpoints"""
    keep_checkpoints: NotNegative[int] = 2
    """how many of the last checkpoints stay while a run goes on; one that is finished keeps its
    last agent alone, and its best if that is another one (0: all stay, and can be resumed)"""
    eval_interval: NotNegative[int] = 0
    """steps between evaluations on environments of their own (0: never)"""
    eval_episodes: Positive[int] = 10
    """episodes of such an evaluation"""
    picture_interval: NotNegative[int] = 20
    """updates between pictures of attention (0: never)"""
    track: bool = False
    """send the logs to Weights & Biases too (pip install 'rl-attn[track]')"""


@dataclass
class AgentSettings(
    RunSettings, PPOSettings, AttentionSettings, NetworkSettings, EnvironmentSettings
):
    """How attention is trained; all other settings are inherited."""

    method: MethodName = "camal"
    """vanilla, camal, prior, ..., two at once (camal+drac), or one of --import; each has flags of
    its own: --method NAME --help lists them"""


def args_type(argv: Sequence[str]) -> type[AgentSettings]:
    """The command line with the flags of the method that `argv` or its --config names."""
    plugins.load_imports(argv)
    config = plugins.config_values(argv)
    if words_of(argv, "--masks") or "masks" in config:
        raise UserError(
            "--masks teacher is called --method prior now, with --teacher.model and so on; "
            "--masks true is left out"
        )
    return with_method(plugins.said(argv, config, "method", AgentSettings.method))


def with_method(name: str) -> type[AgentSettings]:
    """AgentSettings and the method's fields in one dataclass.

    It inherits from both, since the help of a flag is read from the source of its class.
    """
    kind = METHODS[name]
    changed = [("method", MethodName, dataclasses.field(default=name))]
    made = dataclasses.make_dataclass(
        "TrainingArgs", changed, bases=(kind, AgentSettings), namespace={"__reduce__": _reduce}
    )
    made.__doc__ = (kind.__doc__ or name).strip().splitlines()[0]
    return made


def _reduce(args: AgentSettings) -> tuple:
    """How settings go to other processes, which have no such class until they make it."""
    return _made, ({f.name: getattr(args, f.name) for f in dataclasses.fields(args)},)


def _made(values: dict[str, Any]) -> AgentSettings:
    plugins.import_all(values["imports"])
    return with_method(values["method"])(**values)


def load_settings(run: Path, training: bool = False) -> AgentSettings:
    """Those that a run was started with; UserError if it is none, or if they cannot work.

    training: to go on with it; what only training needs must then be there.
    """
    from rl_attn.run.folder import load_args

    settings = load_args(run, args_type)
    validate(settings, training)
    return settings


def absolute(args: AgentSettings) -> AgentSettings:
    """The same with full paths, so that the run can be resumed and measured from any folder."""
    kind = METHODS[args.method]
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind) if is_path(hints[field.name])]
    names += ["wad", "env"] if args.env.endswith(".cfg") else ["wad"]
    paths = {name: getattr(args, name) for name in names}
    full = {name: str(Path(path).resolve()) for name, path in paths.items() if path}
    return dataclasses.replace(args, imports=plugins.settled(args.imports), **full)


def method_of(args: AgentSettings) -> Method:
    """The method with the hyper-parameters of `args`."""
    kind = METHODS[args.method]
    names = [field.name for field in dataclasses.fields(kind) if hasattr(args, field.name)]
    return kind(**{name: getattr(args, name) for name in names})


def check_target(args: AgentSettings, target: str) -> None:
    """Refuse to show whose attention the method would not train."""
    method_of(args).check(dataclasses.replace(args, attention_target=target))


def validate(args: AgentSettings, training: bool = True) -> None:
    """Refuse what cannot work, before any game starts: what is quickly seen first.

    training: also what only training needs; False of a run whose agent is to play.
    """
    check(args)
    check_together(args, training)
    _validate_agent(args)


def check_together(args: AgentSettings, training: bool = True) -> None:
    """Refuse unknown names, and values that are right by themselves and do not go together."""
    if args.batch_size % args.num_minibatches:
        raise UserError(
            f"--num-envs {args.num_envs} x --num-steps {args.num_steps} = {args.batch_size} steps "
            f"do not divide into --num-minibatches {args.num_minibatches}"
        )
    if args.norm_adv and args.batch_size == args.num_minibatches:
        raise UserError(
            f"--num-minibatches {args.num_minibatches} leaves one step in each: --norm-adv needs "
            "two, so give fewer, or --no-norm-adv"
        )
    if args.total_timesteps < args.batch_size:
        raise UserError(
            f"--total-timesteps {args.total_timesteps} is less than one rollout of "
            f"{args.batch_size} steps (--num-envs x --num-steps)"
        )
    check_name(args)
    MAPS.check_trained(args.attention)
    NETWORKS.check(args.network)
    if args.recurrent != "none" and args.num_envs % args.num_minibatches:
        raise UserError(
            f"--recurrent {args.recurrent} keeps each environment's steps together: --num-envs "
            f"{args.num_envs} do not divide into --num-minibatches {args.num_minibatches}"
        )
    method = method_of(args)
    method.check(args)
    if training:
        method.check_training(absolute(args))
    if args.cuda_graphs and not method.capturable:
        raise UserError(
            f"--cuda-graphs: the loss of --method {args.method} may depend on more than tensors, "
            "which a graph would hold fixed: leave it out"
        )


def _validate_agent(args: AgentSettings) -> None:
    """What only torch and the environments can tell."""
    from rl_attn.envs.registry import find

    try:
        size = find(args).mask_shape
        network = NETWORKS[args.network]
        network.check_options(args.network_options)
        network.check(size, args.tap, args.compile)
        if MAPS.kinds[args.attention] == "blocks":
            from rl_attn.rl.trainer import try_map

            try_map(args)
    except ValueError as error:
        raise UserError(str(error)) from None
