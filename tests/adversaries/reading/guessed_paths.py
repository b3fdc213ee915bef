"""Opens the files by their likely names: the lesson's source above the work folder, the gradebook, the class. (knows
nbgrader's layout)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import sqlite3
from pathlib import Path

for up in ("", "../", "../../", "../../../", "../../../../", "/work/main/", "/course/"):
    for name in ("source/adversaries/lesson.ipynb", "solutions/adversaries/lesson.py", "tests/adversaries/lesson.py",
                 "lesson.ipynb", "gradebook.db", "nbgrader_config.py", "submitted"):
        path = Path(up + name)
        try:
            if path.is_dir():
                print(*path.rglob("*.ipynb"))
            elif path.suffix == ".db" and path.exists():
                print(sqlite3.connect(path).execute("select * from student").fetchall())
            elif path.exists():
                print(path.read_text())
        except Exception as error:
            print(path, type(error).__name__)
"""
}
POINTS = FULL
FLAG = ANY
