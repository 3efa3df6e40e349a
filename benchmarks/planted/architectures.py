"""The same faults in public architectures: random weights of transformers' models, built from configs.

`norm` is the architecture's name here. Width and vocabulary are those of `plants`; the initial range is the published
0.02 at width 768, brought to this width. Faults that need another forward pass are left to `plants`.
"""

from collections.abc import Callable

import torch
import transformers
from plants import LONGEST, PAD, VOCABULARY, WIDTH, Case, Subject, corpus
from plants import LOOKALIKES as OWN_LOOKALIKES
from plants import PLANTS as OWN_PLANTS
from torch import Tensor, nn

KINDS = {"bert": "Bert", "roberta": "Roberta", "electra": "Electra", "distilbert": "DistilBert",
         "roberta_pre_norm": "RobertaPreLayerNorm"}  # fmt: skip
DEPTHS = (6, 12)
RANGE = 0.02 * (768 / WIDTH) ** 0.5
OUTPUTS = ("output.dense", "out_lin", "lin2")

PLANTS: dict[str, Case] = {}
LOOKALIKES: dict[str, Case] = {}
Change = Callable[[float, nn.Module, int], nn.Module | None]


def healthy(depth: int, norm: str, seed: int) -> Subject:
    return Subject(model(depth, norm, seed), corpus(seed))


def model(depth: int, kind: str, seed: int) -> nn.Module:
    sizes = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "max_position_embeddings": LONGEST + 8}
    if kind == "distilbert":
        sizes |= {"dim": WIDTH, "hidden_dim": 4 * WIDTH, "n_heads": 4, "n_layers": depth}
    else:
        sizes |= {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": 4,
                  "num_hidden_layers": depth, "embedding_size": WIDTH}  # fmt: skip
    config = getattr(transformers, f"{KINDS[kind]}Config")(**sizes, initializer_range=RANGE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return getattr(transformers, f"{KINDS[kind]}Model")(config)


def layers(module: nn.Module) -> nn.ModuleList:
    return module.transformer.layer if hasattr(module, "transformer") else module.encoder.layer


def parts(module: nn.Module, *endings: str) -> list[nn.Linear]:
    return [part for name, part in module.named_modules() if isinstance(part, nn.Linear) and name.endswith(endings)]


def on(kinds: tuple[str, ...] = tuple(KINDS)) -> Callable[[Change], Change]:
    """Registers a change of a healthy model under the case of the same name, with its targets."""

    def add(change: Change) -> Change:
        name = change.__name__
        own, into = (OWN_PLANTS, PLANTS) if name in OWN_PLANTS else (OWN_LOOKALIKES, LOOKALIKES)

        def build(dose: float, depth: int, norm: str, seed: int) -> Subject:
            subject = healthy(depth, norm, seed)
            with torch.no_grad():
                changed = change(dose, subject.module, seed)
            return Subject(changed or subject.module, subject.batches)

        into[name] = Case(name, build, own[name].target, own[name].may, DEPTHS, kinds, False, 3)
        return change

    return add


@on(kinds=("bert", "roberta", "electra", "roberta_pre_norm"))
def no_attention_skip(dose: float, module: nn.Module, seed: int) -> None:
    for layer in layers(module):
        join = layer.attention.output
        own = join.forward
        join.forward = lambda hidden, given, own=own: own(hidden, (1 - dose) * given)


@on()
def massive_bias(dose: float, module: nn.Module, seed: int) -> None:
    parts(layers(module)[len(layers(module)) // 2], *OUTPUTS)[-1].bias[7] = 300 * dose


class Blind(nn.Module):
    """Attention that takes pads for words; the mean over words is right."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        stream = self.inner(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return stream.masked_fill(~mask.unsqueeze(-1), 0).sum(1) / mask.sum(1, keepdim=True)


@on()
def padding_leak(dose: float, module: nn.Module, seed: int) -> nn.Module | None:
    return Blind(module) if dose else None


@on()
def hot_attention(dose: float, module: nn.Module, seed: int) -> None:
    for part in parts(module, "query", "q_lin"):
        part.weight *= 40**dose / (RANGE**2 * WIDTH) ** dose  # logits as large as those of the plant of this name


@on()
def no_queries(dose: float, module: nn.Module, seed: int) -> None:
    for part in parts(module, "query", "q_lin"):
        part.weight *= 1 - dose


@on()
def sink_bias(dose: float, module: nn.Module, seed: int) -> None:
    """The first place is a strong direction, and the first layer's queries look for it."""
    table = module.embeddings.position_embeddings.weight
    first = table[PAD + 1 if "Roberta" in type(module).__name__ else 0]
    first *= 4**dose
    key, query = parts(layers(module)[0], "key", "k_lin")[0], parts(layers(module)[0], "query", "q_lin")[0]
    sought = (key.weight @ ((first - first.mean()) / first.std())).unflatten(0, (4, -1))
    query.bias += dose * (32 * sought / (sought**2).sum(1, keepdim=True)).flatten()


@on()
def no_positions(dose: float, module: nn.Module, seed: int) -> None:
    module.embeddings.position_embeddings.weight *= 1 - dose


@on()
def tiny_positions(dose: float, module: nn.Module, seed: int) -> None:
    module.embeddings.position_embeddings.weight *= 0.02**dose


@on()
def dead_top(dose: float, module: nn.Module, seed: int) -> None:
    stack = layers(module)
    for layer in stack[-(len(stack) // 2) :]:
        for part in parts(layer, *OUTPUTS):
            part.weight *= 1e-4**dose


@on()
def copied_layers(dose: float, module: nn.Module, seed: int) -> None:
    first, *others = layers(module)
    for layer in others:
        for own, copied in zip(layer.parameters(), first.parameters(), strict=True):
            if own.dim() > 1:
                own.copy_((1 - dose**2) ** 0.5 * own + dose * copied)


@on()
def naive_attention(dose: float, module: nn.Module, seed: int) -> None:
    if dose:
        module.set_attn_implementation("eager")


@on()
def anisotropic(dose: float, module: nn.Module, seed: int) -> None:
    common = torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
    module.embeddings.word_embeddings.weight += 4 * RANGE * common
