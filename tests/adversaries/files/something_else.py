"""A PDF, a script and an archive instead of the notebook; the archive holds a gigabyte in a megabyte. (a zip bomb)"""

import zipfile

from tests.adversaries import NOTHING


def hand_in(folder, release):
    (folder / "lesson.pdf").write_bytes(b"%PDF-1.4 ...")
    (folder / "lesson.py").write_text("print('see the zip')")
    with zipfile.ZipFile(folder / "lesson.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(16):
            archive.writestr(f"../../../{number}.ipynb", bytes(1 << 24))


POINTS = NOTHING
FLAG = "problem"
