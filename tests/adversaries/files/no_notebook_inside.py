"""Valid JSON that is no notebook. (renamed something)"""

from tests.adversaries import FILE, NOTHING, save


def hand_in(folder, release):
    save({"cells": {"0": None}, "nbformat": 4, "nbformat_minor": "five", "metadata": []}, folder / FILE)


POINTS = NOTHING
FLAG = "problem"
