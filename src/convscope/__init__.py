"""ConvScope: what kernel size, stride and padding do to a CNN."""
