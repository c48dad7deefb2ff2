"""Where networks run."""

from __future__ import annotations

import torch

from seg3r.errors import InputError


def best_device() -> str:
    """An accelerator where PyTorch sees one."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return "cpu" if accelerator is None else str(accelerator)


def check_device(device: str) -> None:
    """Raise InputError unless tensors can live on `device`."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"device: {device!r} cannot be used here ({why}); cpu always can") from error
