"""View, Masks -> Masks as MoonSeg3R has them (arXiv 2512.15577): the query of each among the others and among what was
seen there before, and how the reconstructor remembers it."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from safetensors.torch import load_file
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn import functional

from seg3r.embed.memory import QueryIndexMemory, spatial_keys
from seg3r.errors import InputError, check_choice
from seg3r.models.grids import coverage, resampled
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig, joined, pooled
from seg3r.reading import quoted, reading
from seg3r.types import Masks, View
from seg3r.weights.pretrained import read_json

LEAST_COVERED = 0.05
"""A mask that covers no cell by more is too small to have one."""
LARGEST_SIZE, MOST_LAYERS = 1 << 16, 64
"""Of a refiner that may be read."""


@runtime_checkable
class DenseFeatures(Protocol):
    """Image -> features of a grid of cells over all of it."""

    def __call__(self, rgb: UInt8[Tensor, "H W 3"]) -> Float32[Tensor, "h w c"]: ...


class RefinedQueries:
    """Fills `masks.features` and `masks.identity`, both of unit length, and merges masks of one thing.

    Features: refined queries; without a refiner the pooled features themselves, the untrained rows of the paper's table
    2. Identity: the state-distribution token, how much of each state token's attention a mask holds. Merging: masks of
    one view that are alike and touch become their union, with the higher score and the name they agree on. A mask too
    small for the grid gets zero vectors: no evidence. Remembers refined queries at their places in the world.
    """

    def __init__(
        self,
        features2d: DenseFeatures,
        refiner: QueryRefiner | None = None,
        memory: QueryIndexMemory | None = None,
        *,
        token: Literal["state", "pooled"] | None = "state",
        merge: float | None = 0.8,
        merge_adjacent: bool = True,
        use_3d: bool = True,
        use_2d: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        """
        Args:
            memory: where queries are stored and found again; None: no context, nothing remembered.
            token: `state`: the state-distribution token. `pooled`: the reconstructor's tokens, pooled, to compare with.
                Either only where the view has them.
            merge: cosine above which masks are one; None: nothing merges.
            merge_adjacent: only those that touch (cells of the one, widened by one, meet those of the other).
            use_3d, use_2d: the reconstructor's tokens, the image's features; what is not used counts as zero.
        Raises:
            InputError: a memory without a refiner, or no such token.
        """
        if memory is not None and refiner is None:
            raise InputError("a query index memory keeps refined queries: give a refiner as well")
        if token is not None:
            check_choice("token", token, ("state", "pooled"))
        self.device = torch.device(device)
        self.features2d, self.memory, self.token = features2d, memory, token
        self.refiner = None if refiner is None else refiner.to(self.device).eval()
        self.merge, self.merge_adjacent, self.use_3d, self.use_2d = merge, merge_adjacent, use_3d, use_2d

    @torch.no_grad()
    def __call__(self, view: View, masks: Masks) -> Masks:
        """Raises InputError for features of another width than the refiner's."""
        features = self.features2d(view.frame.rgb).to(self.device)
        grid = (features.shape[0], features.shape[1])
        tokens = tokens_on(view, grid).to(self.device) if view.tokens is not None else None
        shares = coverage(masks.masks.to(self.device), grid)
        evident = shares.flatten(1).amax(1) > LEAST_COVERED
        queries = torch.zeros(len(masks), self._width(tokens, features), device=self.device)
        queries[evident] = self._queries(view, tokens, features, shares[evident])
        if self.merge is not None:
            groups = same_thing(queries, shares, self.merge, self.merge_adjacent)
            if len(groups) and int(groups.max()) + 1 < len(masks):
                masks, queries, shares = merged(masks, queries, shares, groups)
                evident = shares.flatten(1).amax(1) > LEAST_COVERED
        if self.memory is not None:
            keys, valid = spatial_keys(view, grid)
            self.memory.add(keys, valid, shares[evident], queries[evident])
        identity = self._identity(view, tokens, shares * evident[:, None, None])
        where = masks.masks.device
        return replace(
            masks, features=functional.normalize(queries, dim=1).to(where),
            identity=None if identity is None else functional.normalize(identity, dim=1).to(where),
        )

    def reset(self) -> None:
        """Forget everything."""
        if self.memory is not None:
            self.memory.reset()

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {} if self.memory is None else self.memory.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Raises InputError for the state of something else."""
        if self.memory is not None and self.refiner is not None:
            width = self.refiner.config.width
            if "bank" in state and state["bank"].shape[1] != width:
                raise InputError(f"the memory of another refiner: queries of {state['bank'].shape[1]}, not {width}")
            self.memory.restore(state)
        elif state:
            raise InputError("these queries remember nothing, the state given does; resume with the memory it had")

    def _width(self, tokens: Tensor | None, features: Tensor) -> int:
        if self.refiner is not None:
            return self.refiner.config.width
        return features.shape[2] + (0 if tokens is None else tokens.shape[2])

    def _queries(
        self, view: View, tokens: Float32[Tensor, "h w c3"] | None, features: Float32[Tensor, "h w c2"],
        shares: Float32[Tensor, "m h w"],
    ) -> Float32[Tensor, "m d"]:
        """Not yet of unit length."""
        h, w = features.shape[:2]
        if self.refiner is not None:
            config = self.refiner.config
            if tokens is None:
                tokens = features.new_zeros(h, w, config.tokens)
            have, wanted = (tokens.shape[2], features.shape[2]), (config.tokens, config.features)
            if have != wanted:
                raise InputError(
                    f"the refiner was trained on tokens of width {wanted[0]} and features of {wanted[1]}, "
                    f"these are {have[0]} and {have[1]}; use the reconstructor and the features it was trained with"
                )
        elif tokens is None:
            tokens = features.new_zeros(h, w, 0)
        tokens, features = tokens * self.use_3d, features * self.use_2d
        if self.refiner is None:
            return pooled(joined(tokens, features), shares)
        context = None
        if self.memory is not None:
            recalled = self.memory.retrieve(view.camera, view.depth, (h, w)).queries
            context = recalled.to(self.device) if len(recalled) else None
        refined: Tensor = self.refiner(tokens, features, shares, context).queries
        return refined

    def _identity(
        self, view: View, tokens: Float32[Tensor, "h w c3"] | None, shares: Float32[Tensor, "m h w"]
    ) -> Float32[Tensor, "m s"] | None:
        if self.token is None:
            return None
        if self.token == "state":
            if view.state_attention is None:
                return None
            grid, size = (shares.shape[1], shares.shape[2]), view.camera.size
            attention = resampled(view.state_attention, grid, size, view.window).to(self.device)
            return shares.flatten(1) @ attention.flatten(1).T
        return None if tokens is None else pooled(functional.layer_norm(tokens, tokens.shape[-1:]), shares)


def tokens_on(view: View, grid: tuple[int, int]) -> Float32[Tensor, "h w c"]:
    """The reconstructor's tokens at the cells of a grid over the whole image."""
    assert view.tokens is not None
    return resampled(view.tokens.permute(2, 0, 1), grid, view.camera.size, view.window).permute(1, 2, 0)


def same_thing(
    queries: Float32[Tensor, "m d"], shares: Float32[Tensor, "m h w"], least_cosine: float, adjacent: bool
) -> Int64[Tensor, "m"]:
    """Group of each mask, 0, 1, ... in the order of their first masks: connected components of cosine above
    `least_cosine` and, if `adjacent`, cells that meet when one is widened by one."""
    unit = functional.normalize(queries, dim=1)
    alike = unit @ unit.T > least_cosine
    if adjacent and len(queries):
        alike &= touching(shares > LEAST_COVERED)
    _, labels = connected_components(csr_array(alike.cpu().numpy()), directed=False)
    first: dict[int, int] = {}
    return torch.tensor([first.setdefault(int(label), len(first)) for label in labels], dtype=torch.int64)


def touching(cells: Bool[Tensor, "m h w"]) -> Bool[Tensor, "m m"]:
    """Whether the cells of the one, widened by one in all eight directions, meet those of the other."""
    narrow = cells.float()
    wide = functional.max_pool2d(narrow[:, None], 3, 1, 1)[:, 0]
    return wide.flatten(1) @ narrow.flatten(1).T > 0


def merged(
    masks: Masks, queries: Float32[Tensor, "m d"], shares: Float32[Tensor, "m h w"], groups: Int64[Tensor, "m"]
) -> tuple[Masks, Float32[Tensor, "g d"], Float32[Tensor, "g h w"]]:
    """One mask for each group: union, highest score, the name they agree on; queries weighted by area."""
    count = int(groups.max()) + 1
    members = [(groups == g).nonzero().flatten() for g in range(count)]
    area = shares.flatten(1).sum(1, keepdim=True)
    queries = torch.stack([
        queries[i[0]] if len(i) == 1 else (queries[i] * area[i]).sum(0) / area[i].sum() for i in members
    ])
    shares = torch.stack([shares[i].sum(0).clamp_max(1) for i in members])
    names = None
    if masks.names is not None:
        called = [{masks.names[int(k)] for k in i} for i in members]
        names = tuple(each.pop() if len(each) == 1 else None for each in called)
    union = torch.stack([masks.masks[i].any(0) for i in members])
    return Masks(union, torch.stack([masks.scores[i].max() for i in members]), names=names), queries, shares


def load_refiner(folder: Path) -> QueryRefiner:
    """From `model.safetensors` and `config.json`.

    Raises:
        InputError: no such files, a file cut short, or tensors of another network.
    """
    path = folder / "model.safetensors"
    with reading(path, "safetensors"):
        weights = load_file(path)
    config = _config(folder / "config.json")
    with reading(folder / "config.json", "sizes of a query refiner"), torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in QueryRefiner(config).state_dict().items()}
    wrong = [name for name in shapes.keys() | weights.keys() if name not in weights
             or shapes.get(name) != weights[name].shape]
    if wrong:
        raise InputError(f"{path}: no query refiner of the sizes in config.json (see {min(wrong)})")
    model = QueryRefiner(config)
    model.load_state_dict(weights)
    return model.eval()


def _config(path: Path) -> QueryRefinerConfig:
    if not path.is_file():
        raise InputError(f"{path}: no such file; it holds the sizes of the query refiner beside it")
    given: dict[str, Any] = read_json(path)
    if unknown := set(given) - {field.name for field in fields(QueryRefinerConfig)}:
        raise InputError(f"{path}: no sizes of a query refiner ({quoted(', '.join(sorted(unknown)))})")
    with reading(path, "sizes of a query refiner"):
        config = QueryRefinerConfig(**given)
        sizes = {name: value for name, value in asdict(config).items() if name not in ("attend_above", "bias")}
        wrong = [name for name, size in sizes.items() if type(size) is not int or not 0 <= size <= LARGEST_SIZE]
        if wrong or config.layers > MOST_LAYERS or config.width % max(config.heads, 1):
            raise ValueError(f"{wrong[0] if wrong else 'layers, width or heads'} of no network")
        return replace(config, attend_above=float(config.attend_above), bias=float(config.bias))
