#!/usr/bin/env bash
# Adding 1 in forward mode imports PyTorch's compiler, a second of processor time.
#
# Versions: torch 2.13.0, CPython 3.11.7, Linux.
#
# torch.autograd.forward_ad, and torch.func.jvp and jacfwd upon it, are eager: nothing is compiled. Yet the first
# sum of a dual tensor and a number imports torch._dynamo, and with it sympy, torch.onnx and torch.distributed.fsdp:
# 823 modules in a second. The tangent of the number is a tensor of zeros without memory, and the sum of tangents
# goes to the shape function of add that is written in Python (torch/_prims_common/wrappers.py), whose decorator
# (torch/_compile.py) imports the compiler at its first call. The difference and the product of the same two do
# not. A short program that needs one small Jacobian spends most of its time there, and nothing in its own lines
# says so. Going backwards has a smaller one of the kind: autograd.grad imports sympy as soon as grad_outputs is
# given (torch/autograd/__init__.py), and not for a scalar that has the same gradients.
#
# Output seen:
#   1 - x, forward mode: dynamo False
#   x * x, forward mode: dynamo False
#   1 + x, forward mode: dynamo True, 500 modules more: True
#   backwards, of a scalar: sympy False
#   backwards, grad_outputs: sympy True
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
cd "$folder"

cat > forward.py <<'PYTHON'
import sys

import torch
from torch.autograd import forward_ad

functions = {"1 - x": lambda x: 1 - x, "x * x": lambda x: x * x, "1 + x": lambda x: 1 + x}
point = torch.ones(2)
with forward_ad.dual_level():
    dual = forward_ad.make_dual(point, torch.ones(2))
    for name, function in functions.items():
        before = len(sys.modules)
        function(dual)
        more = f", 500 modules more: {len(sys.modules) - before > 500}" if name == "1 + x" else ""
        print(f"{name}, forward mode: dynamo {'torch._dynamo' in sys.modules}{more}")
PYTHON

cat > backward.py <<'PYTHON'
import sys

import torch

x, weight = torch.ones(2, requires_grad=True), torch.tensor([2.0, 3.0])
torch.autograd.grad((weight * x * x).sum(), x)
print("backwards, of a scalar: sympy", "sympy" in sys.modules)
torch.autograd.grad(x * x, x, weight)
print("backwards, grad_outputs: sympy", "sympy" in sys.modules)
PYTHON

"$folder/venv/bin/python" forward.py > output
"$folder/venv/bin/python" backward.py >> output
cat output
diff output - <<'EXPECTED'
1 - x, forward mode: dynamo False
x * x, forward mode: dynamo False
1 + x, forward mode: dynamo True, 500 modules more: True
backwards, of a scalar: sympy False
backwards, grad_outputs: sympy True
EXPECTED
