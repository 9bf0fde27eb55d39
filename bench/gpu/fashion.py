"""Fashion-MNIST on the GPU: seconds of training to 89% of the test images, fastnn beside torch, compiled and eager."""

import time

import numpy as np

import fastnn as fnn
from fastnn.datasets import load_fashion_mnist

from ..workloads import WORKLOADS, Workload, weights
from .device import arguments, wait, write

TARGET, EPOCHS = 0.89, 12
TINY = Workload("tiny", (6, 4, 3), 8, True, 0.2, 2)


def fastnn_curve(workload, images, epochs):
    from ..contenders.with_fastnn import network

    (x, y), (x_test, y_test) = images
    model = network(workload, weights(workload))
    model.input_scale = 1 / 255
    trainer = fnn.Trainer(model.to("cuda"), fnn.CrossEntropyLoss(), fnn.Adam(lr=1e-3))
    trainer.fit(x[: 2 * workload.batch], y[: 2 * workload.batch], batch_size=workload.batch, progress=False)  # compiles
    model = network(workload, weights(workload))
    model.input_scale = 1 / 255
    trainer, curve, spent = fnn.Trainer(model.to("cuda"), fnn.CrossEntropyLoss(), fnn.Adam(lr=1e-3)), [], 0.0
    for _ in range(epochs):
        started = time.perf_counter()
        trainer.fit(x, y, batch_size=workload.batch, drop_last=True, progress=False)
        wait()
        spent += time.perf_counter() - started
        curve.append((spent, trainer.evaluate(x_test, y_test)["accuracy"]))
    return curve


def torch_curve(workload, images, epochs, compiled):
    import torch
    import torch.nn.functional as F

    from ..contenders.with_torch import network

    (x, y), (x_test, y_test) = (
        (torch.from_numpy(np.ascontiguousarray(x)).cuda().float() / 255, torch.from_numpy(y).long().cuda()) for x, y in images
    )
    model = network(workload, weights(workload)).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def loss_of(x, y):
        return F.cross_entropy(model(x), y)

    loss, curve, spent = torch.compile(loss_of) if compiled else loss_of, [], 0.0
    for epoch in range(-1, epochs):  # the first compiles, on a few batches
        model.train()
        started = time.perf_counter()
        order = torch.randperm(len(x), device="cuda")
        rows = order[: len(order) // workload.batch * workload.batch].split(workload.batch)
        for index in rows[:2] if epoch < 0 else rows:
            optimizer.zero_grad(set_to_none=True)
            loss(x[index], y[index]).backward()
            optimizer.step()
        torch.cuda.synchronize()
        if epoch < 0:
            continue
        spent += time.perf_counter() - started
        model.eval()
        with torch.inference_mode():
            curve.append((spent, float((model(x_test).argmax(1) == y_test).float().mean())))
    return curve


def main():
    options = arguments(__doc__)
    if options.tiny:
        rng = np.random.default_rng(0)
        images = [(rng.integers(0, 255, (rows, 6)).astype(np.uint8), rng.integers(0, 3, rows)) for rows in (16, 8)]
        workload, epochs = TINY, 1
    else:
        images, workload, epochs = load_fashion_mnist(), WORKLOADS["mnist"], EPOCHS
    figures = {}
    contenders = {"fastnn": lambda: fastnn_curve(workload, images, epochs)}
    if not options.tiny:
        contenders["torch"] = lambda: torch_curve(workload, images, epochs, False)
        contenders["torch compiled"] = lambda: torch_curve(workload, images, epochs, True)
    for name, run in contenders.items():
        try:
            curve = run()
        except ImportError as error:
            print(f"{name} left out: {error}")
            continue
        reached = next((seconds for seconds, accuracy in curve if accuracy >= TARGET), None)
        figures[name] = {"curve": curve, "to_target": reached}
        shown = "never" if reached is None else f"{reached:.2f} s"
        each = curve[-1][0] / len(curve)
        print(f"{name:<15} {each:.3f} s an epoch; {TARGET:.0%} after {shown}; {curve[-1][1]:.2%} after {len(curve)} epochs")
    write(options, {"fashion": figures})


if __name__ == "__main__":
    main()
