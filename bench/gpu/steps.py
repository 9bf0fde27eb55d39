"""The five workloads' training steps: fastnn's `fit` on the GPU beside torch there, eager, compiled, and as a CUDA graph.

fastnn's time is that of a whole `fit` of some passes, less that of one pass, which takes in uploading the data and compiling; the
others step through batches that are on the device. All see the same batches, with the same first weights.
"""

import time

import fastnn as fnn

from ..workloads import WORKLOADS, Workload, data
from .device import arguments, wait, write

TINY = Workload("tiny", (3, 4, 2), 4, True, 0.2, 2)
FORMS = ("eager", "compiled", "graph")


def fastnn_step(workload, passes):
    from ..contenders.with_fastnn import network

    x, y = data(workload)
    trainer = fnn.Trainer(network(workload).to("cuda"), fnn.CrossEntropyLoss(), fnn.Adam(lr=1e-3))
    history = None

    def fit(epochs):
        nonlocal history
        started = time.perf_counter()
        history = trainer.fit(x, y, epochs=epochs, batch_size=workload.batch, progress=False)
        wait()
        return time.perf_counter() - started

    fit(1)  # compiles
    one = fit(1)
    return (fit(1 + passes) - one) / (passes * workload.steps), float(history["loss"][-1])


def torch_step(workload, form, passes):
    import torch
    import torch.nn.functional as F

    from ..contenders.with_torch import network

    x, y = data(workload)
    model = network(workload).cuda().train()
    xs, ys = torch.from_numpy(x).cuda().split(workload.batch), torch.from_numpy(y).cuda().split(workload.batch)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=form != "eager" or None, capturable=form == "graph")

    def loss_of(x, y):
        return F.cross_entropy(model(x), y)

    loss = torch.compile(loss_of) if form == "compiled" else loss_of

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        value = loss(x, y)
        value.backward()
        optimizer.step()
        return value

    if form == "graph":
        step = captured(torch, step, xs[0].clone(), ys[0].clone())
    value = None

    def run(passes):
        nonlocal value
        started = time.perf_counter()
        for _ in range(passes):
            for batch in zip(xs, ys, strict=True):
                value = step(*batch)
        torch.cuda.synchronize()
        return time.perf_counter() - started

    run(1)
    return run(passes) / (passes * workload.steps), float(value)


def captured(torch, step, x, y):
    """The step as a CUDA graph over arrays that stay; a call copies a batch into them."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(x, y)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value = step(x, y)

    def replay(batch_x, batch_y):
        x.copy_(batch_x)
        y.copy_(batch_y)
        graph.replay()
        return value

    return replay


def main():
    options = arguments(__doc__)
    workloads = [TINY] if options.tiny else list(WORKLOADS.values())
    figures = {}
    for workload in workloads:
        passes = 1 if options.tiny else max(2, 1024 // workload.steps)
        row = {"fastnn": fastnn_step(workload, passes)}
        for form in () if options.tiny else FORMS:
            try:
                row[f"torch {form}"] = torch_step(workload, form, passes)
            except Exception as error:  # no torch, no CUDA build of it, no C++ compiler: the others still count
                print(f"torch {form} left out: {type(error).__name__}: {error}")
        for name, (seconds, loss) in row.items():
            print(f"{workload.name:<8} {name:<15}{seconds * 1e6:10.1f} µs a step   last loss {loss:.4f}", flush=True)
        figures[workload.name] = {name: {"seconds": seconds, "loss": loss} for name, (seconds, loss) in row.items()}
    write(options, {"steps": figures})


if __name__ == "__main__":
    main()
