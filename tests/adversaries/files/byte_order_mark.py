"""UTF-8 with a byte order mark and Windows line ends. (Notepad)"""

import json

from tests.adversaries import ANY, FILE, FULL, RIGHT, fill


def hand_in(folder, release):
    text = json.dumps(fill(release, RIGHT), indent=1, ensure_ascii=False).replace("\n", "\r\n")
    (folder / FILE).write_text(text, encoding="utf-8-sig", newline="")


POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = ANY
