"""The lesson on kernel size, stride and padding: sentences, tables, heat maps and a page.

Only `sample`, which shows the outputs of `torch.nn.Conv2d`, imports torch.
"""
