"""Right, after changing the working directory, the umask, the locale, the time zone and sys.path. (tidies up)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import locale
import os
import sys
import time

os.chdir("/")
os.umask(0o777)
os.environ["TZ"] = "Asia/Kathmandu"
time.tzset()
sys.path.insert(0, "/nowhere")
try:
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
except locale.Error:
    pass
"""
}
POINTS = FULL
FLAG = ANY
