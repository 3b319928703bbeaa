"""For every token the direction that makes the unembedding say it, and nothing else.

With W the unembedding's rows about their mean, the column for token t is the ridge solution of "score 1 on t, 0 on all
others": u_t = (WᵀW + λI)⁻¹ w_t. It is scaled so that adding u_t to the stream raises token t by exactly one logit over
its strongest rival. One small inverse per backbone serves every fact; columns are made when a token is first needed.

Shapes: n tokens, V vocabulary, D width.
"""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from memtune.core.backbone import Backbone

_CHUNK = 256
_ROUNDS = 64
_CLEAR_LEAD = 0.2
"""A column whose lead is a smaller part of its own score is corrected against its rivals first."""

_made: WeakKeyDictionary[Backbone, dict[float, Dictionary]] = WeakKeyDictionary()


def dictionary(backbone: Backbone, ridge: float) -> Dictionary:
    """The dictionary of a backbone, made once."""
    made = _made.setdefault(backbone, {})
    if ridge not in made:
        made[ridge] = Dictionary(backbone, ridge)
    return made[ridge]


class Dictionary:
    @torch.inference_mode()
    def __init__(self, backbone: Backbone, ridge: float) -> None:
        weight = backbone.unembedding.weight.detach()
        self._weight_VD = weight
        self._scale = backbone.logit_scale
        self._mean_D = weight.float().mean(0)
        self._inverse_DD = self._invert(ridge)
        self._growing = threading.Lock()
        self._row_V = torch.full((weight.shape[0],), -1, dtype=torch.long)
        self._columns = torch.empty(0, weight.shape[1], device=weight.device)

    def _invert(self, ridge: float) -> Tensor:
        width = self._weight_VD.shape[1]
        gram = torch.zeros(width, width, dtype=torch.float64)  # on the CPU: not every device knows float64
        for rows in self._weight_VD.split(16_384):
            centred = rows.float() - self._mean_D
            gram += (centred.T @ centred).cpu().double()
        gram += ridge * gram.diagonal().mean() * torch.eye(width, dtype=gram.dtype, device=gram.device)
        inverse: Tensor = torch.linalg.inv(gram)
        return inverse.float().to(self._mean_D.device)

    @torch.inference_mode()
    def columns(self, tokens: Tensor) -> Tensor:
        """u_nD for tokens_n; a row of NaN where no direction singles the token out."""
        tokens = tokens.cpu()
        with self._growing:
            missing = tokens[self._row_V[tokens] < 0].unique()
            for part in missing.split(_CHUNK):
                solved, before = self._solve(part.to(self._columns.device)), len(self._columns)
                self._columns = torch.cat([self._columns, solved])
                self._row_V[part] = torch.arange(before, before + len(part))  # last: an interruption leaves no gap
            return self._columns[self._row_V[tokens].to(self._columns.device)]

    def _solve(self, tokens: Tensor) -> Tensor:
        own_nD = self._weight_VD[tokens].float()
        u = (own_nD - self._mean_D) @ self._inverse_DD
        score, lead, _ = self._lead(u, tokens)
        blurred = (lead < _CLEAR_LEAD * score).nonzero()[:, 0]
        if len(blurred):
            u[blurred] = self._correct(u[blurred], tokens[blurred])
            _, lead, _ = self._lead(u, tokens)
        size = torch.where(lead > 0, 1.0 / (lead * self._scale), torch.nan)
        columns_nD: Tensor = size[:, None] * u
        return columns_nD

    def _lead(self, u: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each token's own score about the mean, its lead over the strongest rival, and that rival."""
        scores = u.to(self._weight_VD.dtype) @ self._weight_VD.T
        scores = scores.float()
        own = scores.gather(1, tokens[:, None])
        rival_score, rival = scores.scatter(1, tokens[:, None], -torch.inf).max(1)
        return own[:, 0] - u @ self._mean_D, own[:, 0] - rival_score, rival

    def _correct(self, u: Tensor, tokens: Tensor) -> Tensor:
        """Margin steps against the strongest rival, for tokens that others nearly shadow."""
        size = u.norm(dim=1, keepdim=True)
        own_nD, best, best_lead = (
            self._weight_VD[tokens].float(),
            u.clone(),
            torch.full_like(size[:, 0], -torch.inf),
        )
        for _ in range(_ROUNDS):
            _, lead, rival = self._lead(u, tokens)
            better = lead / u.norm(dim=1) > best_lead
            best[better], best_lead[better] = u[better], (lead / u.norm(dim=1))[better]
            step = own_nD - self._weight_VD[rival].float()
            away = step / step.norm(dim=1, keepdim=True).clamp_min(1e-9)
            u = u + 0.3 * size * away
        return best
