"""How kernels are compiled and cached: the only place that names Numba's options.

`worker` compiles a helper that kernels call and LLVM inlines. `kernel` compiles one body twice: `.serial`, in which
`prange` is `range`, for small work, and `.parallel`, which spreads `prange` over the threads. Nothing is compiled
before the first call, and what was compiled is kept on disk.

Why these options. `fastmath=True` would drop NaN and infinity and delete epsilon guards; no fastmath at all means no
fused multiply-add either. `contract` gives the latter alone, `nsz` lets a zero lose its sign. `reassoc` is left out: LLVM
would choose the order of sums, and could choose another in the other build. `error_model="numpy"` makes x/0 infinite
instead of an exception, which would keep loops from vectorising.

Why a cache of our own. Numba's is keyed by a function's bytecode and its file's time stamp. It misses a changed helper in
another file, does not tell the serial from the parallel build of one function, numbers its data files so that two
processes compiling at once can swap them, and raises on a truncated file. Here each build and signature has one file
named by all that it depends on: Numba, the CPU, the build, and the text of every kernel module reachable by imports.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import os
import pickle
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property, update_wrapper
from pathlib import Path
from typing import Any, ClassVar

import numba
from numba import njit
from numba.core import config
from numba.core.compiler import Compiler, CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target
from numba.core.serialize import dumps
from numba.extending import register_jitable
from numba.np.ufunc.parallel import _launch_threads

__all__ = [
    "OPTIONS",
    "Instruction",
    "Kernel",
    "apart",
    "cache_folder",
    "instruction",
    "kernel",
    "shared",
    "types_of",
    "worker",
]

OPTIONS = {"fastmath": {"contract", "nsz"}, "error_model": "numpy", "nogil": True}
_IMPORT = re.compile(r"^\s*from\s+(\.[\w.]*)\s+import\s+(\([^)]*\)|[^\n]*)", re.MULTILINE)


class _Apart(Compiler):  # type: ignore[misc]
    """Compiles a function whose arrays do not overlap, or are one and the same array read and written element by element.

    LLVM then needs no code that finds this out at run time: batch normalisation's backward takes 2.9 µs for 64 rows of 128 where
    it took 5.1, and compiles in two thirds of the time.
    """

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


def shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a plain function callable from kernels too: for the rules by which shapes decide how much scratch is needed."""
    return register_jitable(**OPTIONS)(function)  # type: ignore[no-any-return]


def worker(function: Callable[..., Any]) -> Any:
    """Compile a helper for use inside kernels (never cached by itself: it is inlined into its callers)."""
    return _inner(function)


def apart(function: Callable[..., Any]) -> Any:
    """A worker whose arrays do not overlap, or are one and the same array read and written element by element (see `_Apart`)."""
    return _inner(function, pipeline_class=_Apart)


def _inner(function: Callable[..., Any], **options: Any) -> Any:
    """A dispatcher without what Python would call, a seventh of the compilation; numba would crash where Python did call it."""
    dispatcher: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options, **OPTIONS)(function)
    if isinstance(dispatcher, Dispatcher):  # a plain function under NUMBA_DISABLE_JIT

        def refuse(*args: Any, **kwargs: Any) -> None:
            raise TypeError(f"{function.__name__}: expected a call from compiled code, got one from Python")

        def not_callable(*args: Any, **kwargs: Any) -> None:
            """Instead of entering the compiled code in the table of what Python can call."""

        dispatcher._insert = not_callable  # type: ignore[attr-defined]
        dispatcher._compile_for_args = refuse  # type: ignore[attr-defined]
    return dispatcher


class Kernel:
    """Two builds of one function. Calling the kernel runs the serial build; `parallel` gives the same bits."""

    def __init__(self, function: Callable[..., None]) -> None:
        update_wrapper(self, function)

    # made when first asked for: import makes a hundred kernels, and a program of three layers uses ten

    @cached_property
    def serial(self) -> Any:
        """`prange` is `range`."""
        return _build(self.__wrapped__, parallel=False)  # type: ignore[attr-defined]

    @cached_property
    def parallel(self) -> Any:
        """`prange` is spread over the threads."""
        _launch_threads()  # the code refers to the pool
        return _build(self.__wrapped__, parallel=True)  # type: ignore[attr-defined]

    def __call__(self, *args: Any) -> None:
        self.serial(*args)

    def __repr__(self) -> str:
        return f"<kernel {self.__wrapped__.__module__}.{self.__wrapped__.__name__}>"  # type: ignore[attr-defined]


def kernel(function: Callable[..., None]) -> Kernel:
    """Compile a kernel as a serial and a parallel twin (see `Kernel`)."""
    return Kernel(function)


class Instruction:
    """A function behind the signature of compiled programs, in a serial and a parallel build.

    `make(build)` gives the function for one build; `build(kernel)` is that build of a kernel it calls.
    """

    known: ClassVar[dict[tuple[str, str], Instruction]] = {}  # by module and name, for other processes to find them

    def __init__(self, make: Callable[[Callable[[Kernel], Any]], Callable[..., None]]) -> None:
        self.__name__, self.__doc__, self.__module__ = make.__name__, make.__doc__, make.__module__
        self.known[self.__module__, self.__name__] = self
        self._make = make
        self._addresses: dict[Any, int] = {}
        self._builds: dict[bool, Any] = {}

    def address(self, parallel: bool, types: tuple[Any, ...]) -> int:
        """Where the compiled function for arguments of these types starts; compiled or loaded when first asked for."""
        if (parallel, types) not in self._addresses:
            result = self.compile(parallel, types)
            self._addresses[parallel, types] = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
        return self._addresses[parallel, types]

    def compile(self, parallel: bool, types: tuple[Any, ...]) -> CompileResult:
        """Compile it, for the cache on disk too, or load it."""
        if parallel:
            _launch_threads()  # code from the cache refers to the pool
        dispatcher = self._build(parallel)
        dispatcher.compile(types)
        return dispatcher.overloads[types]

    def is_ready(self, parallel: bool, types: tuple[Any, ...]) -> bool:
        """Whether `address` will find the function compiled, in memory or on disk."""
        return (parallel, types) in self._addresses or self._build(parallel)._cache.holds(types)

    def _build(self, parallel: bool) -> Any:
        if parallel not in self._builds:
            function = self._make(lambda kernel: kernel.parallel if parallel else kernel.serial)
            function.__name__ = self.__name__
            function.__module__ = self.__module__
            dispatcher = _inner(function)
            dispatcher._cache = _KernelCache(function, "parallel" if parallel else "serial")
            self._builds[parallel] = dispatcher
        return self._builds[parallel]


class _Types(tuple[Any, ...]):
    """Types of arguments, whose hash is found once: for those of a program it goes through a hundred types (10 µs)."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()


def types_of(*arguments: Any) -> tuple[Any, ...]:
    """The types under which functions are compiled for such arguments; looking them up takes 0.1 ms."""
    return _Types(numba.typeof(argument) for argument in arguments)


def instruction(make: Callable[[Callable[[Kernel], Any]], Callable[..., None]]) -> Instruction:
    """Make an instruction of compiled programs (see `Instruction`)."""
    return Instruction(make)


def _build(function: Callable[..., None], *, parallel: bool) -> Any:
    if parallel and not config.DISABLE_JIT:
        function = _over_threads(function)
    dispatcher: Any = njit(no_cfunc_wrapper=True, **OPTIONS)(function)
    if isinstance(dispatcher, Dispatcher):  # a plain function under NUMBA_DISABLE_JIT
        cache = _KernelCache(function, "parallel" if parallel else "serial")
        dispatcher._cache = cache  # type: ignore[attr-defined]
    return dispatcher


def _over_threads(function: Callable[..., None]) -> Callable[..., None]:
    """The same function, in which each `for i in prange(n)` is `spread(loop, (what its body reads,), n)` (see `_team`).

    The body becomes a worker `loop` of its own: what it assigns is its own, as in Numba's parallel loops.
    """
    from ._team import spread

    lines, first = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, first - 1)
    kernel = tree.body[0]
    assert isinstance(kernel, ast.FunctionDef)
    kernel.decorator_list = []
    outliner = _Outliner(kernel)
    kernel = outliner.visit(kernel)
    space = function.__globals__ | {"prange": spread}
    code = ast.fix_missing_locations(ast.Module([*outliner.loops, kernel], []))
    exec(compile(code, inspect.getsourcefile(function) or "kernel", "exec"), space)
    for loop in outliner.loops:
        space[loop.name].__module__ = function.__module__
        space[loop.name] = worker(space[loop.name])
    result = space[kernel.name]
    result.__module__ = function.__module__
    return result  # type: ignore[no-any-return]


class _Outliner(ast.NodeTransformer):
    """Takes the bodies of a kernel's parallel loops out of it, into functions of their own."""

    def __init__(self, kernel: ast.FunctionDef) -> None:
        self.loops: list[ast.FunctionDef] = []
        self._kernel = kernel
        self._own = {argument.arg for argument in kernel.args.args} | _names(kernel.body, ast.Store)

    def visit_For(self, node: ast.For) -> ast.AST:
        call = node.iter
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "prange"):
            return self.generic_visit(node)
        assert isinstance(node.target, ast.Name)
        index = node.target.id
        read = sorted((_names(node.body, ast.Load) & self._own) - _names(node.body, ast.Store) - {index})
        name = f"{self._kernel.name}_loop_{len(self.loops)}"
        arguments = [ast.arg(argument) for argument in (index, *read)]
        loop = ast.FunctionDef(name, ast.arguments([], arguments, None, [], [], None, []), node.body, [])
        self.loops.append(ast.copy_location(loop, node))
        given = ast.Tuple([ast.Name(one, ast.Load()) for one in read], ast.Load())
        spread = ast.Call(call.func, [ast.Name(name, ast.Load()), given, *call.args], [])
        return ast.copy_location(ast.Expr(spread), node)


def _names(nodes: list[Any], context: type) -> set[str]:
    """Names that are read (ast.Load) or assigned (ast.Store) in statements."""
    return {node.id for one in nodes for node in ast.walk(one) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


@cache
def cache_folder() -> Path | None:
    """The folder of compiled kernels: $NUMBA_CACHE_DIR, beside the source, or the user's; None where none is writable."""
    beside = Path(__file__).parent / "__pycache__"
    user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "fastnn"
    for folder in [Path(config.CACHE_DIR)] if config.CACHE_DIR else [beside, user]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return None


class _KernelCache:
    """What a Numba dispatcher asks of its cache. Losing an entry costs a compilation, never a call."""

    def __init__(self, function: Callable[..., None], build: str) -> None:
        self._function = function
        self._build = build

    @property
    def cache_path(self) -> str | None:
        folder = cache_folder()
        return str(folder) if folder else None

    def load_overload(self, signature: Any, target_context: Any) -> CompileResult | None:
        target_context.refresh()
        path = self._path(signature, target_context.codegen())
        if path is None:
            return None
        try:
            return CompileResult._rebuild(target_context, *pickle.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except Exception:  # a truncated or foreign file can raise anything while it is unpickled: compile afresh
            with suppress(OSError):
                path.unlink()
            return None

    def holds(self, types: tuple[Any, ...]) -> bool:
        """Whether there is an entry for arguments of these types."""
        path = self._path(types, cpu_target.target_context.codegen())
        return path is not None and path.exists()

    def save_overload(self, signature: Any, result: Any) -> None:
        path = self._path(signature, result.codegen)
        if path is None or result.library.has_dynamic_globals:
            return
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            scratch.write_bytes(dumps(result._reduce()))
            scratch.replace(path)
        except Exception:  # a full disk, a folder that went away, something that cannot be pickled
            with suppress(OSError):
                scratch.unlink()

    def enable(self) -> None:
        """Part of the interface; the cache is always on."""

    def disable(self) -> None:
        """Part of the interface; the cache is always on."""

    def flush(self) -> None:
        """Part of the interface; entries are replaced, never appended to."""

    def _path(self, signature: Any, codegen: Any) -> Path | None:
        folder = cache_folder()
        if folder is None:
            return None
        module = self._function.__module__
        key = (
            numba.__version__,
            sys.version_info[:2],
            codegen.magic_tuple(),
            config.BOUNDSCHECK,
            os.environ.get("FASTNN_TILE"),
            _source_digest(module),
            str(signature),
        )
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
        return folder / f"{module.rpartition('.')[2]}.{self._function.__name__}-{self._build}-{digest}.nbc"


@cache
def _source_digest(module: str) -> str:
    """Digest of the text of a kernel module and of all kernel modules that it imports, directly or not."""
    sources: dict[str, bytes] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        loaded = sys.modules.get(name)
        if name in sources or loaded is None or not loaded.__file__:
            continue
        sources[name] = Path(loaded.__file__).read_bytes()
        parent = loaded.__package__ or name
        for relative, imported in _IMPORT.findall(sources[name].decode()):
            target = importlib.util.resolve_name(relative, parent)
            todo.append(target)
            if not relative.strip("."):  # `from . import gemm`: the names are modules
                todo += [f"{target}.{name}" for name in re.findall(r"\w+", imported)]
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(name.encode() + sources[name])
    return digest.hexdigest()
