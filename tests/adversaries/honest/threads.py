"""Right, with threads that it joins. (heard that they are faster)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "grad": """
import threading
from concurrent.futures import ThreadPoolExecutor

def grad(f, x):
    h, entries, lock = 6e-6, [None] * len(x), threading.Lock()
    def work(i):
        move = torch.zeros_like(x)
        move[i] = h
        with lock:
            entries[i] = (f(x + move) - f(x - move)) / (2 * h)
    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(x))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return torch.stack(entries)

with ThreadPoolExecutor(2) as pool:
    print(list(pool.map(abs, [-1, -2])))
"""
}
POINTS = FULL
FLAG = None
