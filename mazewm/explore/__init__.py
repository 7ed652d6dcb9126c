"""The explorer: a page on which a maze is drawn, a connection is added or removed inside the model,
and the path that the model then walks is seen. ``python -m mazewm.explore`` opens it.

``scene`` is what a visitor has chosen, ``answers`` and ``inside`` are what the model does with it,
``boards`` and ``words`` draw that as SVG and HTML. Only ``page`` knows NiceGUI.
"""
