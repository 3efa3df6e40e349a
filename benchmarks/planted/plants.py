"""Stacks with one fault planted in them, and healthy ones that look ill: what the lab's verdicts are tried on.

Each plant is a function (dose, depth, norm, seed) -> Subject: dose 0 is the healthy twin, dose 1 the whole fault. What
must be found and what may be found beside it was written down here before anything ran: `target` and `may` of a case
with the reasons, and `CAUSES`, which disease brings which other. Whatever else holds is a false positive.

The encoder is written out below, apart from the package's own, so that every fault can be planted in plain sight.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from scriptchain.data.tasks import TASKS, generate
from scriptchain.lab import Batch

WIDTH, HEADS, VOCABULARY, LONGEST, TEXTS = 64, 4, 200, 16, 256
DEPTHS, NORMS = (3, 6, 12, 24), ("pre", "post")
PAD = 0


# --- the stack ------------------------------------------------------------------------------------------------------


class Layer(nn.Module):
    """Attention and a feed-forward network; the plain attributes are the dials that faults turn."""

    def __init__(self, norm: str, gain: float):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.expand, self.contract = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.norm, self.gain = norm, gain
        self.skips = [1.0, 1.0]  # of attention, of the feed-forward network
        self.bare = 0.0  # share of the norms that is left out
        self.temperature, self.calls, self.rope, self.naive = 1.0, 1, False, False

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:
        x = self._join(0, x, lambda y: self._attend(y, keys))
        return self._join(1, x, self._feed)

    def _join(self, part: int, x: Tensor, branch: Callable[[Tensor], Tensor]) -> Tensor:
        def norm(y: Tensor) -> Tensor:
            return y if self.bare == 1 else torch.lerp(self.norms[part](y), y, self.bare)

        if self.norm == "pre":
            return self.skips[part] * x + self.gain * branch(norm(x))
        return norm(self.skips[part] * x + self.gain * branch(x))

    def _attend(self, x: Tensor, keys: Tensor) -> Tensor:
        q, k, v = (one(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for one in (self.query, self.key, self.value))
        if self.rope:
            q, k = rotated(q), rotated(k)
        if self.naive:
            scores = self.temperature * q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + keys
            y = scores.softmax(-1) @ v
        else:
            y = scaled_dot_product_attention(self.temperature * q, k, v, attn_mask=keys)
        return self.output(y.transpose(1, 2).flatten(-2))

    def _feed(self, x: Tensor) -> Tensor:
        return sum(self.contract(self.expand(x).relu()) for _ in range(self.calls)) / self.calls


def rotated(x: Tensor) -> Tensor:
    """Pairs of channels turned by an angle a place (arXiv 2104.09864); padding is on the right."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2]).unsqueeze(1) * 100.0 ** -(torch.arange(half) / half)
    one, other = x.chunk(2, -1)
    return torch.cat([one * angle.cos() - other * angle.sin(), one * angle.sin() + other * angle.cos()], -1)


class Encoder(nn.Module):
    """`module(ids, mask)` gives logits `(B, classes)` from the mean of the real tokens.

    Healthy at every depth, with either norm: tokens and learned places of equal size, Xavier weights, and branches
    times 1 / sqrt(depth), without which 24 layers with norms on the stream are ill (arXiv 2206.03126).
    """

    def __init__(self, depth: int, norm: str, seed: int, classes: int = 4):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.tokens = nn.Embedding(VOCABULARY, WIDTH)
            self.places = nn.Parameter(torch.randn(LONGEST, WIDTH))
            self.layers = nn.ModuleList(Layer(norm, depth**-0.5) for _ in range(depth))
            self.final = nn.LayerNorm(WIDTH) if norm == "pre" else nn.Identity()
            self.head = nn.Linear(WIDTH, classes)
            for part in self.modules():
                if isinstance(part, nn.Linear):
                    nn.init.xavier_uniform_(part.weight)
                    nn.init.zeros_(part.bias)
        self.causal = False
        self.leak = 0.0  # weight of a pad beside a real token's
        self.bias = torch.zeros(HEADS, LONGEST, LONGEST)  # on the logits, by head, query and key
        self.again = 0.0  # how much of the places is added before every later layer
        self.eraser: Eraser | None = None

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        length = ids.shape[1]
        places = self.places[:length]
        keys = torch.where(mask, 0.0, torch.tensor(self.leak).log())[:, None, None, :] + self.bias[:, :length, :length]
        if self.causal:
            keys = keys.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), -torch.inf)
        x = self.tokens(ids) + places
        for number, layer in enumerate(self.layers):
            if number and self.again:
                x = x + self.again * places
            if self.eraser is not None and number == self.eraser.before:
                x = self.eraser(x, mask)
            x = layer(x, keys)
        x = self.final(x).masked_fill(~mask.unsqueeze(-1), 0)
        return self.head(x.sum(1) / mask.sum(1, keepdim=True))


class Eraser(nn.Module):
    """Takes out of the stream the mean that all texts have at a place; texts seen in training mode move the means."""

    def __init__(self, before: int, dose: float):
        super().__init__()
        self.before, self.dose, self.rate = before, dose, 0.1
        self.register_buffer("means", torch.zeros(LONGEST, WIDTH))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        length = x.shape[1]
        if self.training:
            kept = mask.unsqueeze(-1)
            here = (x * kept).sum(0) / kept.sum(0).clamp(min=1)
            self.means[:length].lerp_(here.detach(), self.rate)
            return x - self.dose * here
        return x - self.dose * self.means[:length]


def corpus(seed: int, rows: int = TEXTS, shortest: int = 5, longest: int = LONGEST) -> list[Batch]:
    """Texts of random words: what is seen in them comes from the stack."""
    generator = torch.Generator().manual_seed(1_000 + seed)
    lengths = torch.randint(shortest, longest + 1, (rows, 1), generator=generator)
    mask = torch.arange(longest) < lengths
    ids = torch.randint(1, VOCABULARY, (rows, longest), generator=generator).masked_fill(~mask, PAD)
    return [Batch(*two) for two in zip(ids.split(64), mask.split(64), strict=True)]


# --- cases ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """What is examined."""

    module: nn.Module
    batches: list[Batch]
    held_out: list[Batch] = field(default_factory=list)
    weights: str = "trained"


Build = Callable[[float, int, str, int], Subject]


@dataclass(frozen=True)
class Case:
    """`target` must be found, `may` (verdict: reason) may be found beside it, and nothing else may."""

    name: str
    build: Build
    target: tuple[str, ...]
    may: dict[str, str]
    depths: tuple[int, ...]
    norms: tuple[str, ...]
    own_twin: bool  # whether dose 0 differs from `healthy`
    seeds: int

    @property
    def allowed(self) -> set[str]:
        """The target, and all that it and what may be found bring along."""
        reached, queue = set(), [*self.target, *self.may]
        while queue:
            one = queue.pop()
            if one not in reached:
                reached.add(one)
                queue += CAUSES.get(one, {})
        return reached


# Which disease brings which other, and why.
CAUSES: dict[str, dict[str, str]] = {
    "rank_collapse": {
        "query_key_starvation": "alike keys make every attention weight a constant (arXiv 2206.03126)",
        "attention_uniform": "alike keys give logits without spread",
        "position_diluted": "what differs by place is a part of what differs inside a text",
        "position_lost": "the same, down to rounding",
        "order_unused": "the answer comes from what all tokens of a text share",
    },
    "entropy_collapse": {"query_key_starvation": "a softmax on one key has no slope"},
    "attention_sink": {"entropy_collapse": "mass on one place is little entropy"},
    "massive_activations": {
        "query_key_starvation": "a norm divides all other channels by the great one: keys become alike",
        "attention_uniform": "the same: alike keys give logits without spread",
    },
    "position_absent": {"order_unused": "without places attention and mean see a bag of words"},
    "position_lost": {
        "position_diluted": "what no probe reads has no variance left",
        "order_unused": "layers above cannot read what is gone",
    },
}

PLANTS: dict[str, Case] = {}
LOOKALIKES: dict[str, Case] = {}


def _case(into: dict[str, Case], target: tuple[str, ...], may: dict[str, str] | None, depths: tuple[int, ...],
          norms: tuple[str, ...], own_twin: bool, seeds: int) -> Callable[[Build], Build]:  # fmt: skip
    def add(build: Build) -> Build:
        name = build.__name__
        into[name] = Case(name, build, target, may or {}, depths, norms, own_twin, seeds)
        return build

    return add


def plant(
    *target: str, may: dict[str, str] | None = None, depths: tuple[int, ...] = DEPTHS, norms: tuple[str, ...] = NORMS,
    own_twin: bool = False, seeds: int = 3,
) -> Callable[[Build], Build]:  # fmt: skip
    return _case(PLANTS, target, may, depths, norms, own_twin, seeds)


def lookalike(
    *true: str, may: dict[str, str] | None = None, depths: tuple[int, ...] = DEPTHS, norms: tuple[str, ...] = NORMS,
    seeds: int = 3,
) -> Callable[[Build], Build]:  # fmt: skip
    """`true`: verdicts that are right of a healthy stack (its dose is not used)."""
    return _case(LOOKALIKES, true, may, depths, norms, True, seeds)


def healthy(depth: int, norm: str, seed: int) -> Subject:
    return Subject(Encoder(depth, norm, seed), corpus(seed))


# --- plants: signal -------------------------------------------------------------------------------------------------


@plant("rank_collapse", depths=(6, 12, 24))  # three layers of attention leave a sixth of what differs: not yet ill
def no_attention_skip(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Attention without its skip connection (arXiv 2103.03404)."""
    subject = healthy(depth, norm, seed)
    for layer in subject.module.layers:
        layer.skips[0] = 1 - dose
    return subject


@plant("stream_gradient_vanishing", norms=("pre",),  # without norms their place is no choice
       may={"rank_collapse": "without skips nothing but attention is left"})  # fmt: skip
def no_skips_small_gain(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Neither skips nor norms, and branches that shrink what they get."""
    subject = healthy(depth, norm, seed)
    for layer in subject.module.layers:
        layer.skips, layer.bare = [1 - dose, 1 - dose], dose
        layer.gain = layer.gain ** (1 - dose) * 0.3**dose
    return subject


@plant("stream_gradient_exploding", norms=("pre",), depths=(6, 12),  # 3 layers only grow; 24 leave float32, and
       # `examine` refuses a stream that is not finite, with the layer's number
       may={"rank_collapse": "what tokens share grows in every branch, what differs in the skip alone",
            "entropy_collapse": "logits grow with the square of a stream that no norm holds"})  # fmt: skip
def no_norm_gain_two(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """No norms, and all matrices of the branches twice as large."""
    subject = healthy(depth, norm, seed)
    for layer in subject.module.layers:
        layer.bare, layer.gain = dose, layer.gain ** (1 - dose)
        for part in layer.modules():
            if isinstance(part, nn.Linear):
                part.weight.data *= 2**dose
    return subject


@plant("rank_collapse", "query_key_starvation", depths=(24,), norms=("post",))
def deep_post_norm(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """The first transformer's layer, 24 times: norms on the stream and branches as large as the stream."""
    subject = healthy(depth, norm, seed)
    for layer in subject.module.layers:
        layer.gain = layer.gain ** (1 - dose)
    return subject


@plant("massive_activations")
def massive_bias(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """One channel of the stream is raised by 300 for every token, in the middle layer (arXiv 2402.17762)."""
    subject = healthy(depth, norm, seed)
    layer = subject.module.layers[depth // 2]
    layer.contract.bias.data[7] = 300 * dose / layer.gain
    return subject


@plant("padding_leak")
def padding_leak(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Attention also looks at pads."""
    subject = healthy(depth, norm, seed)
    subject.module.leak = dose
    return subject


# --- plants: attention ----------------------------------------------------------------------------------------------


@plant("entropy_collapse",
       may={"stream_gradient_exploding": "where two keys tie, the softmax is forty times as steep"})  # fmt: skip
def hot_attention(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Logits forty times as large."""
    subject = healthy(depth, norm, seed)
    for layer in subject.module.layers:
        layer.temperature = 40**dose
    return subject


@plant("attention_uniform")
def no_queries(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """W_q = 0: every look is uniform."""
    subject = healthy(depth, norm, seed)
    for layer in subject.module.layers:
        layer.query.weight.data *= 1 - dose
    return subject


@plant("attention_sink")
def sink_bias(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """All heads look at the first word (arXiv 2410.10781)."""
    subject = healthy(depth, norm, seed)
    subject.module.bias[:, :, 0] = 6 * dose
    return subject


# --- plants: position -----------------------------------------------------------------------------------------------


@plant("position_absent", "order_unused")
def no_positions(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Nothing tells places apart."""
    subject = healthy(depth, norm, seed)
    subject.module.places.data *= 1 - dose
    return subject


@plant("position_absent")
def tiny_positions(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Places of size 0.02 beside tokens of size 1: two usual defaults put together."""
    subject = healthy(depth, norm, seed)
    subject.module.places.data *= 0.02**dose
    return subject


@plant("position_flooding", depths=(6, 12, 24))  # after 3 layers words still hold a sixteenth of the variance
def position_flood(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """All of the places is added again before every layer."""
    subject = healthy(depth, norm, seed)
    subject.module.again = dose
    return subject


@plant("position_diluted", "position_lost")
def position_erased(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Before the upper half the mean of each place is taken out of the stream."""
    subject = healthy(depth, norm, seed)
    subject.module.eraser = eraser = Eraser(max(1, depth // 2), dose).train()
    texts = corpus(5_000 + seed, 4_096)  # means of fewer texts would leave a trace of their own at each place
    with torch.no_grad():
        for count, batch in enumerate(texts, 1):
            eraser.rate = 1 / count
            subject.module(batch.inputs, batch.mask)
    eraser.rate = 0.1
    eraser.eval()
    return subject


# --- plants: layers and cost ----------------------------------------------------------------------------------------


@plant("dead_layers")
def dead_top(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """The branches of the upper half are ten thousand times too small."""
    subject = healthy(depth, norm, seed)
    for layer in subject.module.layers[-(depth // 2) :]:
        layer.gain *= 1e-4**dose
    return subject


@plant("identical_layers",
       may={"rank_collapse": "one map, again and again, turns all tokens into its leading direction"})  # fmt: skip
def copied_layers(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """All layers start as copies of the first, as `nn.TransformerEncoder` makes them."""
    subject = healthy(depth, norm, seed)
    first, *others = subject.module.layers
    for layer in others:
        for own, copied in zip(layer.parameters(), first.parameters(), strict=True):
            if own.dim() > 1:  # weights keep their size on the way
                own.data = (1 - dose**2) ** 0.5 * own.data + dose * copied.data
    return subject


@plant("cost_exponential", depths=(6, 12, 24), seeds=1)  # a law needs five layers; operations do not depend on weights
def recursive_cost(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Each layer calls what it is made of more often than the one below, 2 times at 6 layers."""
    subject = healthy(depth, norm, seed)
    growth = {6: 2.0, 12: 1.5, 24: 1.25}[depth]  # 2 ** 24 calls would not end
    for number, layer in enumerate(subject.module.layers):
        layer.calls = round((1 + dose * (growth - 1)) ** number)
    return subject


@plant("memory_quadratic", seeds=1)  # bytes do not depend on weights
def naive_attention(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Attention written out in a share of the layers: its weights are kept for the backward."""
    subject = healthy(depth, norm, seed)
    for layer in subject.module.layers[: round(dose * depth)]:
        layer.naive = True
    return subject


# --- trained --------------------------------------------------------------------------------------------------------


def task(name: str, part: str, rows: int, seed: int) -> Batch:
    """A generated set as whole-word ids; order decides its classes."""
    words = sorted({word for _, orders in TASKS[name]() for text, _ in orders for word in text.split()})
    texts, labels = generate(name, part, rows, seed)
    ids = torch.full((rows, LONGEST), PAD)
    for row, text in enumerate(texts):
        found = [1 + words.index(word) for word in text.split()]
        ids[row, : len(found)] = torch.tensor(found)
    classes = sorted(set(labels))
    return Batch(ids, ids != PAD, torch.tensor([classes.index(label) for label in labels]))


def parts(batch: Batch, size: int) -> list[Batch]:
    return [Batch(batch.inputs[at : at + size], batch.mask[at : at + size], batch.labels[at : at + size])
            for at in range(0, len(batch.mask), size)]  # fmt: skip


def train(module: nn.Module, batch: Batch, epochs: int, seed: int, rate: float = 1e-3, enough: float = 0.0) -> float:
    """Adam with a short warm-up, until the mean loss of an epoch is below `enough`; returns that loss."""
    optimizer = torch.optim.Adam(module.parameters(), rate)
    generator, step, loss = torch.Generator().manual_seed(seed), 0, float("inf")
    module.train()
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(batch.mask), generator=generator).split(32):
            step += 1
            optimizer.param_groups[0]["lr"] = rate * min(1.0, step / 20)
            value = cross_entropy(module(batch.inputs[rows], batch.mask[rows]), batch.labels[rows])
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            total += value.item() * len(rows)
        loss = total / len(batch.mask)
        if loss < enough:
            break
    module.eval()
    return loss


@plant("overfitting", depths=(3, 6, 12), own_twin=True, seeds=3,
       may={"order_not_needed": "a bag of words is enough to know a text again"})  # fmt: skip
def label_noise(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Trained until it knows all its texts, a share of which have labels drawn by lot."""
    learned, unseen = task("negation", "train", 512, seed), task("negation", "test", 128, seed)
    generator = torch.Generator().manual_seed(seed)
    lot = torch.rand(512, generator=generator) < dose
    learned.labels[lot] = torch.randint(2, (512,), generator=generator)[lot]
    module = Encoder(depth, norm, seed, classes=2)
    train(module, learned, 60, seed, enough=0.02)
    return Subject(module, parts(learned, 64), parts(unseen, 64))


@plant("cannot_train", "position_absent", "order_unused", depths=(3, 6, 12))
def blind_to_order(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Trained without places where nothing but order decides: the other side of `label_noise`, which is its twin."""
    learned, unseen = task("negation", "train", 1_536, seed), task("negation", "test", 128, seed)
    module = Encoder(depth, norm, seed, classes=2)
    module.places.data *= 1 - dose
    module.places.requires_grad_(False)
    train(module, learned, 3, seed, enough=0.02)
    return Subject(module, parts(learned, 64), parts(unseen, 64))


# --- healthy look-alikes --------------------------------------------------------------------------------------------


@lookalike(norms=("post",))
def deep_norm(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """A layer hardly turns the stream, by design (arXiv 2203.00555)."""
    module = Encoder(depth, norm, seed)
    for layer in module.layers:
        layer.skips, layer.gain = [(2 * depth) ** 0.25] * 2, 1.0
        for part in (layer.value, layer.output, layer.expand, layer.contract):
            part.weight.data /= (8 * depth) ** 0.25
    return Subject(module, corpus(seed), weights="initial")


@lookalike(norms=("pre",), may={"order_unused": "with all gates shut the answer is a mean of words and places"})
def rezero(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Gates that start at 0, no norms: layers do nothing yet (arXiv 2003.04887)."""
    module = Encoder(depth, norm, seed)
    for layer in module.layers:
        layer.gain, layer.bare = nn.Parameter(torch.zeros(())), 1.0
    return Subject(module, corpus(seed), weights="initial")


@lookalike()
def layer_scale(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Branches start at a tenth (arXiv 2103.17239)."""
    module = Encoder(depth, norm, seed)
    for layer in module.layers:
        layer.gain = 0.1
    return Subject(module, corpus(seed), weights="initial")


@lookalike()
def anisotropic(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """All tokens share a great mean: every cosine is near 1, and nothing has collapsed (arXiv 1909.00512)."""
    subject = healthy(depth, norm, seed)
    common = torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
    for part in (subject.module.tokens.weight, subject.module.places):
        part.data /= 17**0.5  # the stream keeps its size: a greater one would sharpen attention, which is ill
    subject.module.tokens.weight.data += 4 / 17**0.5 * common
    return subject


@lookalike(norms=("pre",))
def plain_pre_norm(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Branches as large as the stream: the gradient grows toward the input (arXiv 2110.09456)."""
    subject = healthy(depth, norm, seed)
    for layer in subject.module.layers:
        layer.gain = 1.0
    return subject


@lookalike()
def causal(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """No places, but each word sees only those before it, which tells them apart (arXiv 2203.16634)."""
    subject = healthy(depth, norm, seed)
    subject.module.places.data.zero_()
    subject.module.causal = True
    return subject


@lookalike()
def rope(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """No places in the stream: they turn queries and keys."""
    subject = healthy(depth, norm, seed)
    subject.module.places.data.zero_()
    for layer in subject.module.layers:
        layer.rope = True
    return subject


@lookalike()
def sharp_heads(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Two heads of four look at the word before, and at nothing else."""
    subject = healthy(depth, norm, seed)
    later = torch.arange(1, LONGEST)
    subject.module.bias[:2, later, later - 1] = 10.0
    return subject


@lookalike()
def tiny_length(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Texts of 2 to 4 words."""
    return Subject(Encoder(depth, norm, seed), corpus(seed, shortest=2, longest=4))


@lookalike()
def no_pads(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """All texts as long as the module takes."""
    return Subject(Encoder(depth, norm, seed), corpus(seed, shortest=LONGEST))


@lookalike("order_not_needed", depths=(3, 6, 12), seeds=3)
def order_free(dose: float, depth: int, norm: str, seed: int) -> Subject:
    """Trained, with places, where the words alone decide: which of two kinds of words stands in the text."""
    learned, unseen = _sorted_out(corpus(seed, 4_096), seed), _sorted_out(corpus(100 + seed, 256), 100 + seed)
    module = Encoder(depth, norm, seed, classes=2)
    train(module, learned, 10, seed, enough=0.01)
    return Subject(module, parts(learned, 64)[:8], parts(unseen, 64))


def _sorted_out(batches: list[Batch], seed: int) -> Batch:
    """The class is the kind of the text's odd words: below 60 or from 140 on; those between are the same in both."""
    ids, mask = (torch.cat([getattr(one, name) for one in batches]) for name in ("inputs", "mask"))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (len(ids),), generator=generator)
    kind = torch.randint(1, 60, ids.shape, generator=generator) + 140 * labels.unsqueeze(1)
    between = (ids >= 60) & (ids < 140)
    return Batch(torch.where(between | ~mask, ids, kind), mask, labels)
