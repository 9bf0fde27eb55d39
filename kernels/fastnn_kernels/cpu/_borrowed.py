"""Arrays that a program borrows: those that are neither its own nor the model's, by the address in an instruction's row.

So the context, which every instruction of every program is handed, need not grow by arrays that few programs have. Whoever
makes the program keeps such an array alive (`Table.borrow`).
"""

from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

__all__ = ["borrowed"]


@intrinsic
def borrowed(typing_context, address, like, size):
    """The C-contiguous 1-D array of so many elements at an address, of the dtype that `like` has."""
    result = types.Array(like.dtype, 1, "C")

    def generate(context, builder, signature, values):
        view = context.make_array(result)(context, builder)
        data_type = context.get_data_type(like.dtype)
        data = builder.inttoptr(values[0], data_type.as_pointer())
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(data_type))
        populate_array(view, data=data, shape=[values[2]], strides=[itemsize], itemsize=itemsize, meminfo=None)
        return view._getvalue()

    return result(types.int64, like, types.intp), generate
