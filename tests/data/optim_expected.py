#!/usr/bin/env python3
"""What PyTorch's optimizers, schedulers and clipping give: optim.json (parameters after 10 steps), lr_scheduler.json (rates, and momenta
where they are cycled, before each of 30 epochs) and clip_grad.json (the norm, then all gradients). Run with Debian's python3-torch: /usr/bin/python3 tests/data/optim_expected.py"""
import importlib
import inspect
import json
import math
import pathlib

import torch
from torch import optim
from torch.optim import lr_scheduler as sched

HERE = pathlib.Path(__file__).parent


def correct_nadam():
    """1.13 takes mu_t into the second product twice; PyTorch 2 does not, nor does the paper."""
    module = importlib.import_module("torch.optim.nadam")
    source = inspect.getsource(module._single_tensor_nadam)
    assert source.count("mu_product * mu * mu_next") == 1
    exec(source.replace("mu_product * mu * mu_next", "mu_product * mu_next"), module.__dict__)


correct_nadam()
torch.set_default_dtype(torch.float64)  # NAdam keeps its product of mu in a tensor

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, 0.1),
    "sgd_momentum": lambda p: optim.SGD(p, 0.1, momentum=0.9),
    "sgd_dampening": lambda p: optim.SGD(p, 0.1, momentum=0.9, dampening=0.3),
    "sgd_nesterov": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "sgd_decay": lambda p: optim.SGD(p, 0.1, weight_decay=0.05),
    "adam": lambda p: optim.Adam(p, 0.01),
    "adam_decay": lambda p: optim.Adam(p, 0.01, (0.8, 0.95), 1e-6, 0.1),
    "adam_amsgrad": lambda p: optim.Adam(p, 0.02, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, 0.01),
    "adamw_amsgrad": lambda p: optim.AdamW(p, 0.02, amsgrad=True, weight_decay=0.2),
    "rmsprop": lambda p: optim.RMSprop(p),
    "rmsprop_momentum": lambda p: optim.RMSprop(p, 0.02, alpha=0.9, momentum=0.8, weight_decay=0.05),
    "rmsprop_centered": lambda p: optim.RMSprop(p, 0.02, centered=True, eps=1e-6),
    "rmsprop_all": lambda p: optim.RMSprop(p, 0.02, alpha=0.95, eps=1e-5, weight_decay=0.1, momentum=0.5, centered=True),
    "adagrad": lambda p: optim.Adagrad(p),
    "adagrad_decay": lambda p: optim.Adagrad(p, 0.1, lr_decay=0.1, weight_decay=0.05, initial_accumulator_value=0.3, eps=1e-8),
    "nadam": lambda p: optim.NAdam(p),
    "nadam_decay": lambda p: optim.NAdam(p, 0.02, (0.8, 0.95), 1e-6, 0.1, 0.01),
}


def after_ten_steps(make, dtype):
    p = torch.tensor([math.cos(0.9 * i + 0.2) for i in range(6)], dtype=dtype).view(3, 2).clone().requires_grad_()
    q = torch.tensor([math.sin(1.1 * i - 0.4) for i in range(5)], dtype=dtype).requires_grad_()
    optimizer = make([p, q])
    for k in range(10):
        p.grad = torch.tensor([math.sin(0.7 * i + 1.3 * k) for i in range(6)], dtype=dtype).view(3, 2).clone()
        q.grad = torch.tensor([0.01 * math.cos(0.5 * i * k + 0.3) for i in range(5)], dtype=dtype)
        optimizer.step()
    return p.detach().reshape(-1).tolist() + q.detach().tolist()


def metric(epoch):
    return 1 / (1 + epoch) if epoch < 8 else 0.125 + 0.01 * math.sin(epoch)


SCHEDULERS = {
    "step": lambda o: [sched.StepLR(o, 4, 0.5)],
    "multistep": lambda o: [sched.MultiStepLR(o, [2, 7, 7, 20], 0.3)],
    "exponential": lambda o: [sched.ExponentialLR(o, 0.9)],
    "cosine": lambda o: [sched.CosineAnnealingLR(o, 10)],
    "cosine_min": lambda o: [sched.CosineAnnealingLR(o, 7, 0.01)],
    "linear": lambda o: [sched.LinearLR(o)],
    "linear_down": lambda o: [sched.LinearLR(o, 1.0, 0.25, 12)],
    "onecycle": lambda o: [sched.OneCycleLR(o, 0.5, 30)],
    "onecycle_linear": lambda o: [sched.OneCycleLR(o, 0.5, 30, pct_start=0.4, anneal_strategy="linear", base_momentum=0.7, max_momentum=0.9, div_factor=10.0, final_div_factor=100.0)],
    "onecycle_three_phase": lambda o: [sched.OneCycleLR(o, [0.5, 0.2], 30, three_phase=True)],
    "linear_then_cosine": lambda o: [sched.LinearLR(o, 0.1, 1.0, 5), sched.CosineAnnealingLR(o, 6)],
    "plateau": lambda o: [sched.ReduceLROnPlateau(o, patience=2)],
    "plateau_max": lambda o: [sched.ReduceLROnPlateau(o, "max", 0.5, 1, threshold=0.01, threshold_mode="abs", cooldown=3, min_lr=0.004)],
}


def schedule(make, adam):
    groups = [{"params": [torch.zeros(1, requires_grad=True)]}, {"params": [torch.zeros(1, requires_grad=True)], "lr": 0.02}]
    optimizer = optim.Adam(groups, 0.1) if adam else optim.SGD(groups, 0.1, momentum=0.5)
    schedulers = make(optimizer)
    rows = []
    for epoch in range(30):
        rows.append([[g["lr"], g["betas"][0] if adam else g["momentum"]] for g in optimizer.param_groups])
        optimizer.step()
        for s in schedulers:
            s.step(metric(epoch)) if isinstance(s, sched.ReduceLROnPlateau) else s.step()
    return rows


def clipped(clip):
    p = torch.zeros(3, 2).requires_grad_()
    q = torch.zeros(5).requires_grad_()
    p.grad = torch.tensor([math.sin(0.7 * i + 1.3) for i in range(6)]).view(3, 2).clone()
    q.grad = torch.tensor([3 * math.cos(0.5 * i + 0.3) for i in range(5)])
    norm = clip([p, q, torch.zeros(2).requires_grad_()])
    return ([] if norm is None else [norm.item()]) + p.grad.reshape(-1).tolist() + q.grad.tolist()


def write(name, values):
    rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in values.items())
    (HERE / name).write_text("{\n" + rows + "\n}\n")


write("optim.json", {f"{name}/{str(dtype)[6:]}": after_ten_steps(make, dtype)
                     for dtype in (torch.float32, torch.float64) for name, make in OPTIMIZERS.items()})
write("lr_scheduler.json", {f"{name}/{kind}": schedule(make, kind == "adam") for name, make in SCHEDULERS.items() for kind in ("sgd", "adam")})
norm, value = torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_value_
write("clip_grad.json", {
    "norm2": clipped(lambda p: norm(p, 1.5)),
    "norm2 of small gradients": clipped(lambda p: norm(p, 100)),
    "norm1": clipped(lambda p: norm(p, 2, 1)),
    "norm3": clipped(lambda p: norm(p, 0.5, 3)),
    "norm inf": clipped(lambda p: norm(p, 1, math.inf)),
    "value": clipped(lambda p: value(p, 0.75)),
})
