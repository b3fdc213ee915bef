"""Start-up and configuration files of Python, IPython, Jupyter, nbgrader and pytest lie beside it. (somebody reads
them)"""

from tests.adversaries import ANY, FILE, NOTHING, WRONG, fill, save

LENIENT = "import sys, llmsys.check as c\nc.close = c.equal = c.that = c.raises = lambda *a, **k: None\n"


def hand_in(folder, release):
    save(fill(release, WRONG), folder / FILE)
    for name in ("sitecustomize", "usercustomize", "conftest", "ipython_config", "jupyter_config", "nbgrader_config"):
        (folder / f"{name}.py").write_text(LENIENT)
    startup = folder / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text(LENIENT)
    (folder / "lenient.pth").write_text("import sitecustomize\n")
    (folder / ".env").write_text("PYTHONSTARTUP=sitecustomize.py\nLLMSYS_SEED=0\n")


POINTS = NOTHING
FLAG = ANY
