"""The notebook's cells, one after another, without a screen, as a program."""

NOTEBOOK = """
import json, matplotlib
matplotlib.use("Agg")
scope = {}
for cell in json.load(open("notebooks/tour.ipynb"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), scope)
"""
