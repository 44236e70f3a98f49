"""Every setting of a PPO run, with the checks that refuse what cannot work.

Defaults are CAMAL's Table 8, save for the frame size and the number of steps, which
`configs/ppo/camal_paper.yaml` sets; names are CleanRL's.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from rl_attn.agents import feature_grid
from rl_attn.envs.doom.game import screen_resolution
from rl_attn.envs.doom.scenarios import resolve
from rl_attn.errors import UserError
from rl_attn.run.settings import (
    NotNegative,
    PathText,
    Positive,
    Seed,
    Share,
    Side,
    Threads,
    check,
)


@dataclass
class Args:
    """Train a PPO agent on Doom, with the CAMAL loss on the attention of its critic."""

    config: PathText | None = None
    """YAML file with values for these flags; flags override it"""
    resume: PathText | None = None
    """folder of an interrupted run to continue; everything else is taken from it"""
    run_dir: PathText | None = None
    """folder of this run (default: runs/<env>/<method>-s<seed>-<time>)"""

    env: str = "DefendCenter"
    """Basic, DefendLine, DefendCenter, TakeCover, DeadlyCorridor, HealthGathering,
    PredictPosition or MyWayHome"""
    targets: tuple[str, ...] = ()
    """what to attend to: object names (DoomImpBall) or categories (category:Monster);
    empty: the scenario's own"""
    width: Side = 160
    """frame width in pixels"""
    height: Side = 120
    """frame height in pixels"""
    rgb: bool = False
    """colour frames instead of gray ones"""
    frame_skip: Annotated[int, Interval(ge=1, le=1000)] = 4
    """game tics an action is repeated for"""
    frame_stack: Annotated[int, Interval(ge=1, le=64)] = 4
    """frames the network sees, the current one included"""

    camal: NotNegative[float] = 1.0
    """coefficient of the CAMAL loss; 0 is Vanilla PPO"""
    attention_target: Literal["value", "action"] = "value"
    """whose attention: the critic's value (the paper) or the taken action's logit"""
    empty_mask: Literal["skip", "suppress"] = "skip"
    """frames without a visible target: no CAMAL loss, or suppress all attention"""
    second_order: bool = True
    """let the CAMAL loss reach the layers above the feature maps"""
    tap: Literal["conv1", "conv2", "conv3"] = "conv3"
    """whose feature maps attention is made of; earlier ones are finer (29x39 and 13x18 cells, in
    place of 11x16, of frames of 160x120) and cost more time"""
    normalization: Literal["max", "minmax", "none"] = "max"
    """how the CAMAL loss brings a map to [0, 1]: by its maximum, by both ends, or not at all;
    evaluations always divide by the maximum"""
    dead_maps: Literal["signed", "zero"] = "signed"
    """what the CAMAL loss makes of a map without any positive evidence, as frames of negative value
    have: it learns from the negative evidence, or from nothing, as the ReLU of the paper leaves it;
    evaluations always show nothing"""
    placement: Literal["receptive-field", "stretched"] = "receptive-field"
    """where a cell of the map lies in the frame: amid the pixels that it sees, or as if the cells
    covered the frame evenly, which is what is commonly done and up to 17 pixels off at 160x120"""
    compare: Literal["map-up", "mask-down"] = "map-up"
    """where the CAMAL loss compares: at the mask's resolution, the map upsampled to it, or at the
    map's, the mask averaged over each cell"""

    masks: Literal["true", "teacher"] = "true"
    """what CAMAL learns from: the game's own masks, or those that a vision-language model makes
    of some frames (CAMAL's baseline Prior); the IoU is always measured against the true ones"""
    teacher: Literal["clip-es", "naclip", "cam"] = "clip-es"
    """how masks are read off the model, see supervised.masks"""
    teacher_model: str = "doom"
    """a model of open_clip, or the one that python -m rl_attn.teachers.offline trains"""
    teacher_weights: str = "openai"
    """tag of open_clip's or a file"""
    teacher_words: tuple[str, ...] = ()
    """what to ask for (default: the targets' names)"""
    teacher_budget: Annotated[float, Interval(gt=0, lt=1)] = 0.2
    """largest share of the training time that labelling may take"""
    teacher_every: NotNegative[int] = 0
    """label every k-th frame whatever it costs, which repeats exactly; 0: what the budget allows"""
    teacher_threshold: Share = 0.5
    """a mask is where the teacher's map is above this"""
    teacher_confidence: Share = 0.5
    """frames whose share of the softmax is lower have an empty mask"""

    total_timesteps: Annotated[int, Interval(ge=1, le=10**12)] = 100_000
    """agent steps of the whole run, over all lanes"""
    num_envs: Annotated[int, Interval(ge=1, le=1024)] = 8
    """games played at once"""
    num_steps: Annotated[int, Interval(ge=1, le=100_000)] = 128
    """steps of each game in a rollout"""
    update_epochs: Annotated[int, Interval(ge=1, le=1000)] = 4
    """passes over each rollout"""
    num_minibatches: Positive[int] = 4
    """mini-batches a pass"""
    learning_rate: Positive[float] = 2.5e-4
    """of Adam"""
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
    """clip the gradients of PPO's loss and of CAMAL's each by itself, not their sum: CAMAL's is
    often several times larger and shrinks PPO's step (costs a second backward pass)"""
    reward_clip: NotNegative[float] = 1.0
    """learn from rewards clipped to [-this, this]; 0: as they are (returns are logged raw)"""
    target_kl: Positive[float] | None = None
    """end an update early when the policy has moved this far"""

    seed: Seed = 1
    """of everything random"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the hardware is fast at it"""
    compile: bool = False
    """torch.compile the convolutions"""
    threads: Threads = 0
    """CPU threads of torch (0: its own choice)"""

    checkpoint_interval: Positive[int] = 20_000
    """steps between checkpoints"""
    keep_checkpoints: Positive[int] = 3
    """how many of the last checkpoints stay"""
    eval_interval: NotNegative[int] = 0
    """steps between evaluations on lanes of their own (0: never)"""
    eval_episodes: Positive[int] = 10
    """episodes of such an evaluation"""
    picture_interval: NotNegative[int] = 20
    """updates between pictures of attention (0: never)"""
    track: bool = False
    """send the logs to Weights & Biases too (pip install 'rl-attn[track]')"""

    @property
    def batch_size(self) -> int:
        """Steps of a rollout, over all lanes."""
        return self.num_envs * self.num_steps

    @property
    def num_updates(self) -> int:
        return self.total_timesteps // self.batch_size


def validate(args: Args) -> None:
    """Refuse what cannot work, before any game starts."""
    check(args)
    if args.masks == "teacher" and args.empty_mask == "suppress":
        raise UserError(
            "--empty-mask suppress would take the frames that a teacher has not labelled for empty "
            "ones: leave it at skip with --masks teacher"
        )
    if args.batch_size % args.num_minibatches:
        raise UserError(
            f"--num-envs {args.num_envs} x --num-steps {args.num_steps} = {args.batch_size} steps "
            f"do not divide into --num-minibatches {args.num_minibatches}"
        )
    if args.compile and args.tap != "conv3":
        raise UserError(
            f"--compile goes with --tap conv3 alone, got {args.tap}: compiled convolutions behind "
            "the tap cannot be differentiated twice"
        )
    if args.total_timesteps < args.batch_size:
        raise UserError(
            f"--total-timesteps {args.total_timesteps} is less than one rollout of "
            f"{args.batch_size} steps (--num-envs x --num-steps)"
        )
    try:
        resolve(args.env, args.targets or None)
        screen_resolution((args.width, args.height))
        feature_grid((args.height, args.width))
    except ValueError as error:
        raise UserError(str(error)) from None
