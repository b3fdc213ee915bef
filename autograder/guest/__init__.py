"""What runs inside the sandbox: a warm interpreter that forks a shell for each submission.

Nothing in here knows a solution, a grade or another submission. It imports only what lessons may import (IPython and
the libraries of the course), so that the sandbox need not show anything else of the grader.
"""
