"""Arrays that hold no reference to what they are part of, small ones on the stack, and cache lines asked for: cheap in workers,
and soon compiled.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .._simd import element_pointer, prefetch

__all__ = ["borrowed", "fetch", "on_stack", "view_at"]


def _populate(array, **fields):
    # here, since this part of numba takes longer to import (17 ms) than most of fastnn, and only compiling needs it
    from numba.np.arrayobj import populate_array

    populate_array(array, **fields)


def on_stack(size):
    """A function of compiled code: an unwritten 1-D array of so many elements of the dtype of the array that it is given.

    It lives until the function that asked for it returns, and may be handed down, not back.
    """

    @intrinsic
    def room(typing_context, like):
        result = types.Array(like.dtype, 1, "C")

        def generate(context, builder, signature, values):
            element = context.get_data_type(like.dtype)
            itemsize = context.get_constant(types.intp, context.get_abi_sizeof(element))
            data = cgutils.alloca_once(builder, element, size)
            array = context.make_array(result)(context, builder)
            shape = [context.get_constant(types.intp, size)]
            _populate(array, data=data, shape=shape, strides=[itemsize], itemsize=itemsize, meminfo=None)
            return array._getvalue()

        return result(like), generate

    return room


@intrinsic
def view_at(typing_context, array, offset, shape):
    """A C-contiguous view of so many elements of a 1-D array, from one on, unchecked.

    It holds no reference to the array, which the caller keeps: a slice and a reshape cost 50 ns, most of them for counting
    references, and an instruction makes some five.
    """
    result = types.Array(array.dtype, len(shape), "C")

    def generate(context, builder, signature, values):
        source = context.make_array(array)(context, builder, values[0])
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        shape = cgutils.unpack_tuple(builder, values[2])
        strides = [context.get_constant(types.intp, size)]
        for extent in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], extent))
        view = context.make_array(result)(context, builder)
        data = builder.gep(source.data, [values[1]])
        itemsize = context.get_constant(types.intp, size)
        _populate(view, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
        return view._getvalue()

    return result(array, types.intp, types.UniTuple(types.intp, len(shape))), generate


@intrinsic
def borrowed(typing_context, address, like, size):
    """The C-contiguous 1-D array of so many elements at an address, of the dtype that `like` has.

    For arrays that are neither the program's nor the model's: so the context, which every instruction of every program is handed,
    need not grow by arrays that few programs have. Whoever makes the program keeps such an array alive (`Table.borrow`).
    """
    result = types.Array(like.dtype, 1, "C")

    def generate(context, builder, signature, values):
        view = context.make_array(result)(context, builder)
        data_type = context.get_data_type(like.dtype)
        data = builder.inttoptr(values[0], data_type.as_pointer())
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(data_type))
        _populate(view, data=data, shape=[values[2]], strides=[itemsize], itemsize=itemsize, meminfo=None)
        return view._getvalue()

    return result(types.int64, like, types.intp), generate


@intrinsic
def fetch(typing_context, array, offset):
    """Ask for the cache line so many elements after the first of an array; it may lie past the end, where nothing happens."""

    def generate(context, builder, signature, values):
        prefetch(builder, element_pointer(context, builder, array, *values), write=False)
        return context.get_dummy_value()

    return types.none(array, types.intp), generate
