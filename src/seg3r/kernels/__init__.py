"""The inner loops: numba, plain arrays in, plain arrays out. Each file serves the room it is named after."""
