"""Every method, in batches, against one picture at a time computed the plain way."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from rl_attn.errors import UserError
from rl_attn.teachers import Prompts, Teacher, load_clip
from rl_attn.teachers.boxes import boxes

LABELS = torch.tensor([1, 0, 1])


def sentences(clip, prompts, template):
    return clip.model.encode_text(
        clip.tokens([template.format(w) for w in prompts.words]), normalize=True
    )


def minmax(array):
    array = array - array.min()
    return array / array.max()


def through_the_blocks(visual, picture):
    """The input of the last block (1, 1 + N, K), and every block's attention (N, N)."""
    tokens, attentions = visual._embeds(picture), []
    for block in visual.transformer.resblocks:
        last, normed = tokens, block.ln_1(tokens)
        attentions.append(block.attn(normed, normed, normed, average_attn_weights=True)[1][0])
        tokens = block(tokens)
    return last, attentions


def from_the_norm(visual, last, normed):
    """What the tower makes of its last block's input, given that block's first norm."""
    block = visual.transformer.resblocks[-1]
    tokens = last + block.attn(normed, normed, normed)[0]
    tokens = tokens + block.mlp(block.ln_2(tokens))
    tokens = visual.ln_post(tokens)
    pooled = tokens[:, 0] if visual.pool_type == "tok" else tokens[:, 1:].mean(1)
    return F.normalize(pooled @ visual.proj, dim=-1)


def reference_clip_es(clip, prompts, picture, label):
    visual, scale = clip.visual, clip.model.logit_scale.exp()
    texts = F.normalize(sum(sentences(clip, prompts, t) for t in prompts.templates), dim=-1)
    kept = [label, *range(len(prompts.foreground), len(prompts.words))]
    last, attentions = through_the_blocks(visual, picture)
    normed = visual.transformer.resblocks[-1].ln_1(last).detach().requires_grad_()
    logits = scale * from_the_norm(visual, last, normed) @ texts[kept].T
    logits.softmax(1)[0, 0].backward()
    weights = normed.grad[0, 1:].mean(0)  # (K,)
    side = visual.grid_size[0]
    cam = minmax((normed[0, 1:].detach() @ weights).relu()).view(side, side).numpy()

    transition = torch.stack(attentions[4:]).mean(0)[1:, 1:]  # all but the first four
    transition = transition.detach().double().numpy()
    for _ in range(3):
        transition = transition / transition.sum(0, keepdims=True)
        transition = transition / transition.sum(1, keepdims=True)
    transition = (transition + transition.T) / 2
    transition = transition @ transition
    inside = np.zeros_like(cam)
    parts, _ = ndimage.label(cam > 0.4, np.ones((3, 3)))
    for box in ndimage.find_objects(parts):
        inside[box] = 1
    refined = transition @ (cam * inside).ravel()
    return torch.from_numpy(minmax(refined).reshape(side, side)).float()


def reference_naclip(clip, prompts, picture, label):
    visual, scale = clip.visual, clip.model.logit_scale.exp()
    texts = F.normalize(sum(sentences(clip, prompts, t) for t in prompts.templates), dim=-1)
    kept = [label, *range(len(prompts.foreground), len(prompts.words))]
    last, _ = through_the_blocks(visual, picture)
    block, (rows, columns) = visual.transformer.resblocks[-1], visual.grid_size
    tokens, heads = block.ln_1(last)[0], block.attn.num_heads
    width = tokens.shape[1]
    weight, bias = block.attn.in_proj_weight, block.attn.in_proj_bias
    keys = (tokens @ weight[width : 2 * width].T + bias[width : 2 * width]).chunk(heads, 1)
    values = (tokens @ weight[2 * width :].T + bias[2 * width :]).chunk(heads, 1)
    out = torch.zeros_like(tokens)
    for i in range(1, 1 + rows * columns):
        mixed = []
        for k, v in zip(keys, values, strict=True):
            energy = k @ k[i] / math.sqrt(k.shape[1])
            for j in range(1, 1 + rows * columns):
                away = ((i - 1) // columns - (j - 1) // columns) ** 2
                away += ((i - 1) % columns - (j - 1) % columns) ** 2
                energy[j] += math.exp(-away / (2 * 5.0**2))
            mixed.append(energy.softmax(0) @ v)
        out[i] = block.attn.out_proj(torch.cat(mixed))
    patches = F.normalize(visual.ln_post(out[1:]) @ visual.proj, dim=-1)
    return (scale * patches @ texts[kept].T).softmax(1)[:, 0].view(rows, columns)


def reference_cam(clip, prompts, picture, label):
    maps = []
    for template in prompts.templates:
        last, _ = through_the_blocks(clip.visual, picture)
        normed = clip.visual.transformer.resblocks[-1].ln_1(last).detach().requires_grad_()
        text = sentences(clip, prompts, template)[label]
        (from_the_norm(clip.visual, last, normed)[0] @ text).backward()
        cam = (normed[0, 1:].detach() @ normed.grad[0, 1:].mean(0)).relu()
        maps.append(minmax(cam).view(clip.visual.grid_size))
    return torch.stack(maps).mean(0)


REFERENCES = {
    "clip-es": reference_clip_es,
    "naclip": reference_naclip,
    "cam": reference_cam,
}


@pytest.mark.parametrize("pool", ["tok", "avg"])  # the offline teacher's is the mean of patches
@pytest.mark.parametrize("method", REFERENCES)
def test_a_batch_is_what_each_picture_gives_by_the_plain_way(clip, prompts, images, method, pool):
    clip = copy.deepcopy(clip)
    clip.visual.pool_type = pool
    taught = Teacher(clip, prompts, method)(images, LABELS)
    for image, label, mask in zip(images, LABELS.tolist(), taught.masks, strict=True):
        small = REFERENCES[method](clip, prompts, clip.prepare(image[None]), label).detach()
        expected = F.interpolate(small[None, None], (32, 32), mode="bilinear")[0, 0]
        torch.testing.assert_close(mask, expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("method", REFERENCES)
def test_batches_do_not_matter_and_nothing_is_left_behind(clip, prompts, images, method):
    whole = Teacher(clip, prompts, method, batch_size=8)(images, LABELS)
    single = Teacher(clip, prompts, method, batch_size=1)(images, LABELS)
    torch.testing.assert_close(whole.masks, single.masks, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(whole.confidence, single.confidence)
    assert not whole.masks.requires_grad
    assert all(p.grad is None and not p.requires_grad for p in clip.model.parameters())
    assert not any(m._forward_hooks for m in clip.model.modules())
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("method", REFERENCES)
def test_each_word_has_a_mask_of_the_pictures_size(clip, prompts, method):
    images = torch.rand(2, 1, 20, 28)  # gray floats, not square
    taught = Teacher(clip, prompts, method, refine=True).each(images)
    assert taught.masks.shape == (2, 2, 20, 28)
    assert taught.confidence.shape == (2, 2)
    assert taught.masks.min() >= 0 and taught.masks.max() <= 1
    assert taught.masks.flatten(2).amax(2).min() > 0


@pytest.mark.parametrize("method", REFERENCES)
def test_readings_of_several_sizes_and_of_the_mirror_image_are_averaged(
    clip, clip_folder, prompts, images, method
):
    larger = load_clip(str(clip_folder), "own", size=48)
    together = Teacher([clip, larger], prompts, method, mirror=True)(images, LABELS)
    expected, shares = torch.zeros(3, 32, 32), torch.zeros(3)
    for sized in (clip, larger):
        alone = Teacher(sized, prompts, method)
        straight, flipped = alone(images, LABELS), alone(images.flip(-1), LABELS)
        expected += (straight.masks + flipped.masks.flip(-1)) / 4
        shares += (straight.confidence + flipped.confidence) / 4
    torch.testing.assert_close(together.masks, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(together.confidence, shares)
    again = Teacher([clip, larger], prompts, method, mirror=True)(images.flip(-1), LABELS)
    torch.testing.assert_close(again.masks.flip(-1), together.masks, rtol=1e-3, atol=1e-4)


def test_without_spreading_clip_es_is_its_grad_cam(clip, prompts, images):
    masks = Teacher(clip, prompts, spread=False)(images, LABELS).masks
    texts = F.normalize(sum(sentences(clip, prompts, t) for t in prompts.templates), dim=-1)
    for image, label, mask in zip(images, LABELS.tolist(), masks, strict=True):
        last, _ = through_the_blocks(clip.visual, clip.prepare(image[None]))
        normed = clip.visual.transformer.resblocks[-1].ln_1(last).detach().requires_grad_()
        kept = texts[[label, 2, 3, 4]]
        logits = clip.model.logit_scale.exp() * from_the_norm(clip.visual, last, normed) @ kept.T
        logits.softmax(1)[0, 0].backward()
        cam = minmax((normed[0, 1:].detach() @ normed.grad[0, 1:].mean(0)).relu())
        small = cam.view(1, 1, *clip.visual.grid_size)
        expected = F.interpolate(small, (32, 32), mode="bilinear")[0, 0]
        torch.testing.assert_close(mask, expected, rtol=1e-3, atol=2e-4)


def test_confidence_is_the_share_of_the_softmax(clip, prompts, images):
    teacher = Teacher(clip, prompts)
    logits = clip.logits(clip.embed(clip.prepare(images)), teacher.texts)
    among = logits[:, [0, 2, 3, 4]].softmax(1)[:, 0]
    found = teacher(images, torch.zeros(3, dtype=torch.long)).confidence
    torch.testing.assert_close(found, among, rtol=1e-4, atol=1e-5)
    both = teacher(images).confidence  # without labels: imp and demon together
    torch.testing.assert_close(both, logits.softmax(1)[:, :2].sum(1), rtol=1e-4, atol=1e-5)


def test_one_word_serves_every_label(clip, images):
    teacher = Teacher(clip, Prompts(("digit",), ("dark", "black"), ("a {}",)))
    masks = teacher(images, torch.tensor([7, 2, 9])).masks
    torch.testing.assert_close(masks, teacher(images).masks)


@pytest.mark.parametrize("name", ["ViT-B-16-quickgelu", "RN50", "MobileCLIP2-S0"])
def test_models_by_name_answer_or_say_why_not(name):
    """Random weights: that shapes and gradients work with what is in open_clip's list."""
    size = None if name == "MobileCLIP2-S0" else 64
    clip = load_clip(name, "random", size=size)
    assert clip.weights == "random"
    prompts = Prompts(("imp",), ("wall",))
    images = torch.rand(1, 3, 40, 40)
    cam = Teacher(clip, prompts, "cam")(images).masks
    assert cam.shape == (1, 40, 40) and cam.isfinite().all()
    if name != "RN50":  # whose map random weights may leave at zero; its values are tested below
        assert cam.max() > 0
    for method in ("clip-es", "naclip"):
        if name.startswith("ViT"):
            masks = Teacher(clip, prompts, method)(images).masks
            assert masks.shape == (1, 40, 40) and masks.isfinite().all() and masks.max() > 0
        else:
            with pytest.raises(UserError, match=f"{method} needs one of open_clip's own vision"):
                Teacher(clip, prompts, method)


def test_towers_other_than_transformers_are_explained_as_plainly(images):
    """RN50 and a timm tower: Grad-CAM by hand, from the tapped layer's own forward hook."""
    torch.manual_seed(3)  # not every draw of the weights leaves anything of its map
    clip = load_clip("RN50", "random", size=64)
    with torch.no_grad():
        for module in clip.visual.modules():  # fresh weights leave these branches dead
            if hasattr(module, "bn3"):
                module.bn3.weight.fill_(1)
    prompts = Prompts(("imp",), ("wall",), ("a {}",))
    mask = Teacher(clip, prompts, "cam")(images[:1]).masks[0]
    kept = []
    hook = clip.visual.layer4.register_forward_hook(lambda m, i, o: kept.append(o))
    picture = clip.prepare(images[:1]).requires_grad_()
    embedded = clip.model.encode_image(picture, normalize=True)[0]
    hook.remove()
    score = embedded @ sentences(clip, prompts, "a {}")[0]
    (gradient,) = torch.autograd.grad(score, kept[0])
    cam = (kept[0] * gradient.mean((2, 3), keepdim=True)).sum(1).relu()
    expected = F.interpolate(minmax(cam)[None].detach(), (32, 32), mode="bilinear")[0, 0]
    torch.testing.assert_close(mask, expected, rtol=1e-3, atol=1e-4)


def test_boxes_are_those_of_scipy():
    random = torch.Generator().manual_seed(3)
    masks = torch.rand(40, 9, 12, generator=random) > 0.75
    masks[0], masks[1] = False, True
    for mask, found in zip(masks, boxes(masks), strict=True):
        expected = np.zeros(mask.shape, bool)
        parts, _ = ndimage.label(mask.numpy(), np.ones((3, 3)))
        for box in ndimage.find_objects(parts):
            expected[box] = True
        assert (found.numpy() == expected).all()
