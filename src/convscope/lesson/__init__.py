"""The lesson on kernel size, stride and padding: what a geometry does, in sentences and pictures.

Starts without torch; only `sample`, which shows `torch.nn.Conv2d`'s own values, imports it.
"""
