"""EMA, SWA and fresh statistics are torch's."""

import numpy as np
import pytest

import fastnn as fnn

torch = pytest.importorskip("torch")
from torch.optim import swa_utils  # noqa: E402

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("one_torch_thread")]

ROWS, BATCH, EPOCHS = 60, 12, 4


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("kind", ["EMA", "SWA", "SWA of epochs"])
def test_averages_of_training_are_torchs(kind, compiled, rng, torch_twin, torch_state, agree):
    x, y = rng.standard_normal((ROWS, 5)), rng.integers(0, 3, ROWS)
    model = fnn.Sequential(
        fnn.Linear(5, 7, bias=False), fnn.BatchNorm1d(7), fnn.Tanh(), fnn.Linear(7, 3), seed=0, dtype=np.float64
    )
    twin = torch_twin(model.train())
    ours = fnn.EMA(0.95) if kind == "EMA" else fnn.SWA(per="epoch" if "epoch" in kind else "step", start=1)
    theirs = swa_utils.AveragedModel(twin, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.95) if kind == "EMA" else None)
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(lr=0.1, momentum=0.9), average=ours, compiled=compiled)
    trainer.fit(x, y, EPOCHS, BATCH, shuffle=False)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    tx, ty, step = torch.from_numpy(x), torch.from_numpy(y), 0
    for epoch in range(EPOCHS):
        for first in range(0, ROWS, BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(twin(tx[first : first + BATCH]), ty[first : first + BATCH]).backward()
            optimizer.step()
            step += 1
            if kind == "EMA" or (kind == "SWA" and step > 1):
                theirs.update_parameters(twin)
        if "epoch" in kind and epoch >= 1:
            theirs.update_parameters(twin)
    assert ours.count == int(theirs.n_averaged)
    ours.apply()
    fnn.update_bn(model, x, BATCH)
    swa_utils.update_bn([(tx[first : first + BATCH],) for first in range(0, ROWS, BATCH)], theirs)
    for name, array in torch_state(theirs.module).items():
        if "num_batches" not in name:
            agree(model.state_dict()[name], array, 1e-10, name)
    agree(model.predict(x), theirs.eval()(tx), 1e-10)
