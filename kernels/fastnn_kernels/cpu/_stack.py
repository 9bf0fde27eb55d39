"""Small arrays on the stack, for what a worker turns around between reading and writing."""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

__all__ = ["on_stack"]


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
            populate_array(array, data=data, shape=shape, strides=[itemsize], itemsize=itemsize, meminfo=None)
            return array._getvalue()

        return result(like), generate

    return room
