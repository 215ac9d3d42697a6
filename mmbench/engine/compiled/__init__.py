"""Compiled steps: the steps of a method on a game as machine code.

See `docs/compiled.md`. `block` chooses between a loop in C (`c_loop`) and a graph for
torch's own compiler; the modules named `c_...` write, compile and call the C code.
"""
