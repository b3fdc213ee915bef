"""Starts background jobs by shell lines with nohup, setsid, at and cron. (`&` is easily typed)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT
EXTRA_CELLS = [
    (
        "after",
        "exercise-scale",
        "%%script --bg --no-raise-error bash\nnohup setsid sleep 3600 > /dev/null 2>&1 & # adversary-outlives",
    ),
    (
        "after",
        "exercise-twice",
        "import os\nos.system('(setsid sh -c \"sleep 3600; : adversary-outlives\" > /dev/null 2>&1 &)')\n"
        "os.system('echo \"* * * * * touch /tmp/adversary-outlives\" | timeout 1 crontab - 2> /dev/null')",
    ),
]
POINTS = FULL
FLAG = ODD
