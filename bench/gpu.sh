#!/usr/bin/env bash
# Everything that needs a GPU, in one call of at most ten minutes on a machine with one: see bench/README.md.
#
#   bash bench/gpu.sh [FOLDER FOR THE RESULTS]
#
# PYTHON: the interpreter (python3). Where it has all that is needed it is used as it is; else a virtual environment is made and
# filled from the package registry. FASTNN_FASHION_MNIST: the folder with its four files. Each part has a time limit of its own and
# a line in summary.txt; one that fails does not stop those after it, but the script then ends with 1.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

out=${1:-out/gpu}
mkdir -p "$out"
: >"$out/summary.txt"
failed=0

say() { printf '%s\n' "$*" | tee -a "$out/summary.txt"; }

part() { # name, seconds, command ...
  local name=$1 limit=$2 started=$SECONDS status
  shift 2
  printf '\n== %s\n' "$name"
  timeout --kill-after=10 "$limit" "$@" 2>&1 | tee "$out/$name.log"
  status=${PIPESTATUS[0]}
  if [ "$status" -eq 0 ]; then
    say "$name: passed after $((SECONDS - started)) s"
  else
    say "$name: failed with $status after $((SECONDS - started)) s"
    failed=1
  fi
}

python=${PYTHON:-python3}
export PYTHONPATH=$PWD:$PWD/kernels PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=passive
ready="import pytest, hypothesis, fastnn; assert fastnn.cuda.is_available(), fastnn.cuda.reason()"

nvidia-smi >"$out/nvidia-smi.txt" 2>&1 || true
if ! "$python" -c "$ready" 2>/dev/null; then
  part environment 20 "$python" -m venv .venv-gpu
  python=$PWD/.venv-gpu/bin/python
  part install 120 "$python" -m pip install --quiet --disable-pip-version-check -e ".[test,cuda]" torch
  "$python" -c "$ready" || exit 1
fi

part kernels 100 "$python" -m pytest -q -p no:cacheprovider tests/cuda
if command -v compute-sanitizer >/dev/null; then
  part sanitizer 60 compute-sanitizer --tool memcheck --error-exitcode 1 "$python" -m bench.gpu.every_kernel
  part racecheck 40 compute-sanitizer --tool racecheck --error-exitcode 1 "$python" -m bench.gpu.every_kernel
else
  say "sanitizer: left out, there is no compute-sanitizer"
fi
part bandwidth 30 "$python" -m bench.gpu.bandwidth --json "$out/bandwidth.json"
part steps 90 "$python" -m bench.gpu.steps --json "$out/steps.json"
part fashion 50 "$python" -m bench.gpu.fashion --json "$out/fashion.json"
part scaling 70 "$python" -m bench --unchecked scaling
cp out/bench/*.json "$out" 2>/dev/null

printf '\n== summary\n'
cat "$out/summary.txt"
exit "$failed"
