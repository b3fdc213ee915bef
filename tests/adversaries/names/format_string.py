"""Signs of every kind of template. (log messages are formatted)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "%s%n {0} {x} ${HOME} $(id)"
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
