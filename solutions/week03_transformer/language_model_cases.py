# %% misconception="counts each different pre-token once" exercise="train_bpe"
# The set of words is smaller than the text, and quicker. But a word that is frequent has to count more.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    words, merges = [list(w.encode()) for w in dict.fromkeys(pretokens(text))], []
    while 256 + len(merges) < vocab_size:
        counts = Counter(pair for ids in words for pair in pairwise(ids))
        best = min(counts, key=lambda p: (-counts[p], p), default=None)
        if best is None or counts[best] < 2:
            break
        words = [merge(ids, best, 256 + len(merges)) for ids in words]
        merges.append(best)
    return merges


# %% misconception="no pre-tokens" exercise="train_bpe"
# BPE as in the compression paper: the text is one sequence, and spaces merge with what stands before them.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    ids, merges = list(text.encode()), []
    while 256 + len(merges) < vocab_size:
        counts = Counter(pairwise(ids))
        best = min(counts, key=lambda p: (-counts[p], p), default=None)
        if best is None or counts[best] < 2:
            break
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return merges


# %% misconception="most_common breaks the tie" exercise="train_bpe"
# Counter has a method for just this; of equal counts it gives the one that was seen first.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    times, merges = Counter(pretokens(text)), []
    words = {w: list(w.encode()) for w in times}
    while 256 + len(merges) < vocab_size:
        counts = Counter()
        for w, ids in words.items():
            for pair in pairwise(ids):
                counts[pair] += times[w]
        if not counts or counts.most_common(1)[0][1] < 2:
            break
        best = counts.most_common(1)[0][0]
        words = {w: merge(ids, best, 256 + len(merges)) for w, ids in words.items()}
        merges.append(best)
    return merges


# %% misconception="the largest pair wins a tie" exercise="train_bpe"
# max over (count, pair) is the shortest line, and turns the rule of the tie round.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    times, merges = Counter(pretokens(text)), []
    words = {w: list(w.encode()) for w in times}
    while 256 + len(merges) < vocab_size:
        counts = Counter()
        for w, ids in words.items():
            for pair in pairwise(ids):
                counts[pair] += times[w]
        best = max(counts, key=lambda p: (counts[p], p), default=None)
        if best is None or counts[best] < 2:
            break
        words = {w: merge(ids, best, 256 + len(merges)) for w, ids in words.items()}
        merges.append(best)
    return merges


# %% misconception="code points instead of bytes" exercise="train_bpe"
# ord() and bytes agree on English text. On anything else the ids of characters run into those of the merges.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    times, merges = Counter(pretokens(text)), []
    words = {w: [ord(c) for c in w] for w in times}
    while 256 + len(merges) < vocab_size:
        counts = Counter()
        for w, ids in words.items():
            for pair in pairwise(ids):
                counts[pair] += times[w]
        best = min(counts, key=lambda p: (-counts[p], p), default=None)
        if best is None or counts[best] < 2:
            break
        words = {w: merge(ids, best, 256 + len(merges)) for w, ids in words.items()}
        merges.append(best)
    return merges


# %% misconception="goes on until nothing is left" exercise="train_bpe"
# The room in the vocabulary is there, so it is filled, also with pairs that occur once: the text learned by heart.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    times, merges = Counter(pretokens(text)), []
    words = {w: list(w.encode()) for w in times}
    while 256 + len(merges) < vocab_size:
        counts = Counter()
        for w, ids in words.items():
            for pair in pairwise(ids):
                counts[pair] += times[w]
        if not counts:
            break
        best = min(counts, key=lambda p: (-counts[p], p))
        words = {w: merge(ids, best, 256 + len(merges)) for w, ids in words.items()}
        merges.append(best)
    return merges


# %% misconception="a pair that overlaps itself counts once" exercise="train_bpe"
# "Only one of the two can be replaced, so it should count as one": sensible, but not what the text and the library say.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    times, merges = Counter(pretokens(text)), []
    words = {w: list(w.encode()) for w in times}
    while 256 + len(merges) < vocab_size:
        counts = Counter()
        for w, ids in words.items():
            last = None
            for i, pair in enumerate(pairwise(ids)):
                if last == (i - 1, pair):
                    last = None
                    continue
                counts[pair] += times[w]
                last = (i, pair)
        best = min(counts, key=lambda p: (-counts[p], p), default=None)
        if best is None or counts[best] < 2:
            break
        words = {w: merge(ids, best, 256 + len(merges)) for w, ids in words.items()}
        merges.append(best)
    return merges


# %% misconception="only the old neighbours lose a count" exercise="train_bpe"
# The incremental update with the new pairs forgotten: a merge is never merged again.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    times, merges = Counter(pretokens(text)), []
    words = {w: list(w.encode()) for w in times}
    counts, where = Counter(), defaultdict(set)
    for w, ids in words.items():
        for pair in pairwise(ids):
            counts[pair] += times[w]
            where[pair].add(w)
    while 256 + len(merges) < vocab_size and counts:
        best = min(counts, key=lambda p: (-counts[p], p))
        if counts[best] < 2:
            break
        for w in where[best]:
            for pair in pairwise(words[w]):
                counts[pair] -= times[w]
            words[w] = merge(words[w], best, 256 + len(merges))
            for pair in pairwise(words[w]):
                if pair in counts:
                    counts[pair] += times[w]
        merges.append(best)
    return merges


# %% misconception="counts the whole text in every round" exercise="train_bpe"
# Right, and what the algorithm says word for word. It earns what is not about speed.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    times, merges = Counter(pretokens(text)), []
    words = {w: list(w.encode()) for w in times}
    while 256 + len(merges) < vocab_size:
        counts = Counter()
        for w, ids in words.items():
            for pair in pairwise(ids):
                counts[pair] += times[w]
        best = min(counts, key=lambda p: (-counts[p], p), default=None)
        if best is None or counts[best] < 2:
            break
        words = {w: merge(ids, best, 256 + len(merges)) for w, ids in words.items()}
        merges.append(best)
    return merges


# %% misconception="the last round is one too many" exercise="train_bpe"
# vocab_size is read as the number of merges beyond the bytes, plus one.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    times, merges = Counter(pretokens(text)), []
    words = {w: list(w.encode()) for w in times}
    for i in range(vocab_size - 255):
        counts = Counter()
        for w, ids in words.items():
            for pair in pairwise(ids):
                counts[pair] += times[w]
        best = min(counts, key=lambda p: (-counts[p], p), default=None)
        if best is None or counts[best] < 2:
            break
        words = {w: merge(ids, best, 256 + i) for w, ids in words.items()}
        merges.append(best)
    return merges


# %% misconception="normalises and strips the text first" exercise="train_bpe"
# Cleaning text is the first line of many a pipeline. But a tokenizer that changes the text can't give it back.
def train_bpe(text: str, vocab_size: int) -> list[Pair]:
    import unicodedata

    if vocab_size < 256:
        raise ValueError("vocab_size")
    words = Counter(pretokens(unicodedata.normalize("NFC", text).strip()))
    seqs = {w: list(w.encode()) for w in words}
    counts, where = Counter(), defaultdict(set)
    for w, ids in seqs.items():
        for p in pairwise(ids):
            counts[p] += words[w]
            where[p].add(w)
    merges = []
    while len(merges) < vocab_size - 256 and counts:
        best = min(counts, key=lambda p: (-counts[p], p))
        if counts[best] < 2:
            break
        for w in where.pop(best):
            for p in pairwise(seqs[w]):
                counts[p] -= words[w]
                if counts[p] <= 0:
                    del counts[p]
            seqs[w] = merge(seqs[w], best, 256 + len(merges))
            for p in pairwise(seqs[w]):
                counts[p] += words[w]
                where[p].add(w)
        merges.append(best)
    return merges


# %% misconception="rare pre-tokens thrown away" exercise="train_bpe"
# A common way to save memory: words that occur once go. But many rare words share their pairs, and these count.
def train_bpe(text: str, vocab_size: int) -> list[Pair]:
    if vocab_size < 256:
        raise ValueError("vocab_size")
    words = Counter(pretokens(text))
    if len(words) > 1000:
        words = Counter({w: n for w, n in words.items() if n > 1})
    seqs = {w: list(w.encode()) for w in words}
    counts, where = Counter(), defaultdict(set)
    for w, ids in seqs.items():
        for p in pairwise(ids):
            counts[p] += words[w]
            where[p].add(w)
    merges = []
    while len(merges) < vocab_size - 256 and counts:
        best = min(counts, key=lambda p: (-counts[p], p))
        if counts[best] < 2:
            break
        for w in where.pop(best):
            for p in pairwise(seqs[w]):
                counts[p] -= words[w]
                if counts[p] <= 0:
                    del counts[p]
            seqs[w] = merge(seqs[w], best, 256 + len(merges))
            for p in pairwise(seqs[w]):
                counts[p] += words[w]
                where[p].add(w)
        merges.append(best)
    return merges


# %% misconception="index loses pairs that stay" exercise="train_bpe"
# The index is kept short: after a merge a word is struck off the index for all its old
# pairs, and added back for pairs with the new id only; a later merge then misses it.
def train_bpe(text: str, vocab_size: int) -> list[Pair]:
    if vocab_size < 256:
        raise ValueError("vocab_size")
    words = Counter(pretokens(text))
    seqs = {w: list(w.encode()) for w in words}
    counts, where = Counter(), defaultdict(set)
    for w, ids in seqs.items():
        for p in pairwise(ids):
            counts[p] += words[w]
            where[p].add(w)
    merges = []
    while len(merges) < vocab_size - 256 and counts:
        best = min(counts, key=lambda p: (-counts[p], p))
        if counts[best] < 2:
            break
        new = 256 + len(merges)
        for w in list(where[best]):
            for p in pairwise(seqs[w]):
                counts[p] -= words[w]
                where[p].discard(w)
            seqs[w] = merge(seqs[w], best, new)
            for p in pairwise(seqs[w]):
                counts[p] += words[w]
                if new in p:
                    where[p].add(w)
        counts.pop(best, None)
        merges.append(best)
    return merges


# %% alternative="a heap with lazy updates" exercise="train_bpe"
# Stale entries are put right when they come to the top.
import heapq


def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small")
    words = [[list(w.encode()), n] for w, n in Counter(pretokens(text)).items()]
    counts, where = defaultdict(int), defaultdict(set)
    for i, (ids, n) in enumerate(words):
        for pair in pairwise(ids):
            counts[pair] += n
            where[pair].add(i)
    heap = [(-n, pair) for pair, n in counts.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < vocab_size - 256:
        n, pair = heapq.heappop(heap)
        if counts[pair] != -n:
            if counts[pair] > 0:
                heapq.heappush(heap, (-counts[pair], pair))
            continue
        if -n < 2:
            break
        new, changed = 256 + len(merges), set()
        for i in where[pair]:
            ids, times = words[i]
            for p in pairwise(ids):
                counts[p] -= times
            words[i][0] = ids = merge(ids, pair, new)
            for p in pairwise(ids):
                counts[p] += times
                where[p].add(i)
                changed.add(p)
        for p in changed:
            heapq.heappush(heap, (-counts[p], p))
        merges.append(pair)
    return merges


# %% alternative="compares a word before and after" exercise="train_bpe"
# Changes of a word are found by comparing its pairs before and after.
def train_bpe(text: str, vocab_size: int) -> list[Pair]:
    if vocab_size < 256:
        raise ValueError(vocab_size)
    texts = Counter(pretokens(text))
    weight = list(texts.values())
    rows = [list(w.encode("utf-8")) for w in texts]
    table: dict[Pair, int] = {}
    index: dict[Pair, list[int]] = {}
    for r, row in enumerate(rows):
        for a, b in pairwise(row):
            table[a, b] = table.get((a, b), 0) + weight[r]
            index.setdefault((a, b), []).append(r)
    out = []
    for new in range(256, vocab_size):
        if not table:
            break
        top = max(table.values())
        if top < 2:
            break
        pair = min(p for p, n in table.items() if n == top)
        for r in set(index[pair]):
            before = Counter(pairwise(rows[r]))
            if pair not in before:
                continue
            rows[r] = merge(rows[r], pair, new)
            after = Counter(pairwise(rows[r]))
            for p in before.keys() | after.keys():
                change = after[p] - before[p]
                if change:
                    table[p] = table.get(p, 0) + change * weight[r]
                    if not table[p]:
                        del table[p]
                if p in after and p not in before:
                    index.setdefault(p, []).append(r)
        out.append(pair)
    return out


# %% alternative="returns lists instead of tuples" exercise="train_bpe"
# A pair of ids is a pair of ids.
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError
    times = Counter(pretokens(text))
    words = {w: list(w.encode()) for w in times}
    counts, where, merges = Counter(), defaultdict(set), []
    for w, ids in words.items():
        for pair in pairwise(ids):
            counts[pair] += times[w]
            where[pair].add(w)
    while counts and len(merges) < vocab_size - 256:
        n, a, b = min((-n, a, b) for (a, b), n in counts.items())
        if -n < 2:
            break
        for w in list(where[a, b]):
            for pair in pairwise(words[w]):
                counts[pair] -= times[w]
                where[pair].discard(w)
            words[w] = merge(words[w], (a, b), 256 + len(merges))
            for pair in pairwise(words[w]):
                counts[pair] += times[w]
                where[pair].add(w)
        counts = +counts
        merges.append([a, b])
    return merges


# %% alternative="class with differences of Counters" exercise="train_bpe"
# The tables live in an object; a merge applies the difference of a word's pair counts before and after.
class _Trainer:
    def __init__(self, text):
        self.words = [(list(w.encode()), n) for w, n in Counter(pretokens(text)).items()]
        self.counts, self.where = Counter(), defaultdict(dict)
        for i, (ids, n) in enumerate(self.words):
            self.add(i, Counter(pairwise(ids)), n)

    def add(self, i, pairs, n):
        for pair, times in pairs.items():
            self.counts[pair] += times * n
            self.where[pair][i] = None

    def best(self):
        return max(self.counts, key=lambda pair: (self.counts[pair], -pair[0], -pair[1]), default=None)

    def apply(self, pair, new):
        for i in list(self.where.pop(pair)):
            ids, n = self.words[i]
            before = Counter(pairwise(ids))
            ids = merge(ids, pair, new)
            self.words[i] = (ids, n)
            after = Counter(pairwise(ids))
            for p, times in (before - after).items():
                self.counts[p] -= times * n
                if self.counts[p] == 0:
                    del self.counts[p]
            self.add(i, after - before, n)


def train_bpe(text: str, vocab_size: int) -> list[Pair]:
    if vocab_size < 256:
        raise ValueError(vocab_size)
    trainer, merges = _Trainer(text), []
    while 256 + len(merges) < vocab_size:
        pair = trainer.best()
        if pair is None or trainer.counts[pair] < 2:
            return merges
        trainer.apply(pair, 256 + len(merges))
        merges.append(pair)
    return merges


# %% misconception="greedy from the left" exercise="encode"
# Whenever the current token and the next have a merge, take it. The order of the merges is not used.
def encode(text, merges):
    rank, out = {p: i for i, p in enumerate(merges)}, []
    for word in pretokens(text):
        ids = []
        for byte in word.encode():
            ids.append(byte)
            while len(ids) > 1 and (ids[-2], ids[-1]) in rank:
                b, a = ids.pop(), ids.pop()
                ids.append(256 + rank[a, b])
        out += ids
    return out


# %% misconception="longest match" exercise="encode"
# The vocabulary is a list of strings, and the longest one that fits is the fewest tokens.
def encode(text, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    ids_of = {s: i for i, s in reversed(list(enumerate(spelled)))}
    out = []
    for word in pretokens(text):
        data = word.encode()
        while data:
            n = next(n for n in range(len(data), 0, -1) if data[:n] in ids_of)
            out.append(ids_of[data[:n]])
            data = data[n:]
    return out


# %% misconception="merges across pre-tokens" exercise="encode"
# The whole text at once: shorter code, and no word boundary.
def encode(text, merges):
    ids = list(text.encode())
    rank = {p: i for i, p in enumerate(merges)}
    while len(ids) > 1:
        best = min(pairwise(ids), key=lambda p: rank.get(p, math.inf))
        if best not in rank:
            break
        ids = merge(ids, best, 256 + rank[best])
    return ids


# %% misconception="code points instead of bytes" exercise="encode"
# ord() gives ids up to a million.
def encode(text, merges):
    rank, out = {p: i for i, p in enumerate(merges)}, []
    for word in pretokens(text):
        ids = [ord(c) for c in word]
        while len(ids) > 1:
            best = min(pairwise(ids), key=lambda p: rank.get(p, math.inf))
            if best not in rank:
                break
            ids = merge(ids, best, 256 + rank[best])
        out += ids
    return out


# %% misconception="the highest rank first" exercise="encode"
# Later merges are longer tokens, so they are tried first.
def encode(text, merges):
    rank, out = {p: i for i, p in enumerate(merges)}, []
    for word in pretokens(text):
        ids = list(word.encode())
        while len(ids) > 1:
            best = max(pairwise(ids), key=lambda p: rank.get(p, -1))
            if best not in rank:
                break
            ids = merge(ids, best, 256 + rank[best])
        out += ids
    return out


# %% misconception="the rank is the id" exercise="encode"
# The first 256 ids are bytes; a merge's id is 256 more than its rank.
def encode(text, merges):
    rank, out = {p: i for i, p in enumerate(merges)}, []
    for word in pretokens(text):
        ids = list(word.encode())
        while len(ids) > 1:
            best = min(pairwise(ids), key=lambda p: rank.get(p, math.inf))
            if best not in rank:
                break
            ids = merge(ids, best, rank[best])
        out += ids
    return out


# %% misconception="one pass over the pairs of the word" exercise="encode"
# The pairs that stand in the word at first are merged by rank; pairs that come up by merging are not looked for.
def encode(text, merges):
    rank, out = {p: i for i, p in enumerate(merges)}, []
    for word in pretokens(text):
        ids = list(word.encode())
        for pair in sorted({p for p in pairwise(ids) if p in rank}, key=rank.get):
            ids = merge(ids, pair, 256 + rank[pair])
        out += ids
    return out


# %% misconception="all merges for each word" exercise="encode"
# Right, word for word what training did, and 60,000 passes over every word.
def encode(text, merges):
    out = []
    for word in pretokens(text):
        ids = list(word.encode())
        for i, pair in enumerate(merges):
            ids = merge(ids, pair, 256 + i)
        out += ids
    return out


# %% misconception="table of ranks built for each word" exercise="encode"
# A helper that encodes one word is neat; but it builds the table of all ranks again for each word.
def encode(text: str, merges: list[Pair]) -> list[int]:
    def encode_word(ids):
        ranks = {tuple(p): r for r, p in enumerate(merges)}
        while len(ids) > 1:
            best = min(pairwise(ids), key=lambda p: ranks.get(p, math.inf))
            if best not in ranks:
                break
            ids = merge(ids, best, 256 + ranks[best])
        return ids

    return [i for word in pretokens(text) for i in encode_word(list(word.encode()))]


# %% misconception="cache keeps words of other merges" exercise="encode"
# Words repeat, so a cache pays. This one is keyed by the word alone, and outlives its merges.
_WORD_CACHE: dict[str, list[int]] = {}


def encode(text: str, merges: list[Pair]) -> list[int]:
    ranks = {tuple(p): r for r, p in enumerate(merges)}
    out = []
    for word in pretokens(text):
        if word not in _WORD_CACHE:
            ids = list(word.encode())
            while len(ids) > 1:
                best = min(pairwise(ids), key=lambda p: ranks.get(p, math.inf))
                if best not in ranks:
                    break
                ids = merge(ids, best, 256 + ranks[best])
            _WORD_CACHE[word] = ids
        out += _WORD_CACHE[word]
    return out


# %% misconception="normalises the text" exercise="encode"
# Unicode advice says to normalise. Then decode does not give the text back.
def encode(text: str, merges: list[Pair]) -> list[int]:
    import unicodedata

    ranks = {tuple(p): r for r, p in enumerate(merges)}
    out = []
    for word in pretokens(unicodedata.normalize("NFC", text)):
        ids = list(word.encode())
        while len(ids) > 1:
            best = min(pairwise(ids), key=lambda p: ranks.get(p, math.inf))
            if best not in ranks:
                break
            ids = merge(ids, best, 256 + ranks[best])
        out += ids
    return out


# %% alternative="leftmost place of the lowest rank, one at a time" exercise="encode"
# Replacing one place and looking again comes to the same.
def encode(text, merges):
    rank = {tuple(p): i for i, p in enumerate(merges)}
    out = []
    for word in pretokens(text):
        ids = list(word.encode("utf-8"))
        while True:
            found = [(rank[ids[i], ids[i + 1]], i) for i in range(len(ids) - 1) if (ids[i], ids[i + 1]) in rank]
            if not found:
                break
            r, i = min(found)
            ids[i : i + 2] = [256 + r]
        out.extend(ids)
    return out


# %% alternative="a generator and a cached inner function" exercise="encode"
# As libraries do it: words repeat.
import functools


def encode(text, merges):
    table = dict(zip(merges, range(256, 256 + len(merges))))

    @functools.cache
    def word_ids(word):
        ids = tuple(word.encode())
        while candidates := [table[p] for p in pairwise(ids) if p in table]:
            new = min(candidates)
            ids = tuple(merge(list(ids), merges[new - 256], new))
        return ids

    return [i for word in pretokens(text) for i in word_ids(word)]


# %% alternative="with a heap of places" exercise="encode"
# A linked list and a heap: n log n for a word of n bytes.
import heapq


def encode(text, merges):
    rank, out = {p: i for i, p in enumerate(merges)}, []
    for word in pretokens(text):
        ids = list(word.encode())
        after, before = list(range(1, len(ids) + 1)), list(range(-1, len(ids) - 1))
        heap = [(rank[p], i, p) for i, p in enumerate(pairwise(ids)) if p in rank]
        heapq.heapify(heap)
        while heap:
            r, i, (a, b) = heapq.heappop(heap)
            j = after[i]
            if ids[i] != a or j >= len(ids) or ids[j] != b:
                continue
            ids[i], ids[j] = 256 + r, None
            after[i] = after[j]
            if after[i] < len(ids):
                before[after[i]] = i
                if (ids[i], ids[after[i]]) in rank:
                    p = (ids[i], ids[after[i]])
                    heapq.heappush(heap, (rank[p], i, p))
            if before[i] >= 0 and (ids[before[i]], ids[i]) in rank:
                p = (ids[before[i]], ids[i])
                heapq.heappush(heap, (rank[p], before[i], p))
        out += [i for i in ids if i is not None]
    return out


# %% alternative="str.replace on code points" exercise="encode"
# An id is a character of a Python string; str.replace goes from left to right, without overlaps.
def encode(text: str, merges: list[Pair]) -> list[int]:
    ranks = {chr(a) + chr(b): rank for rank, (a, b) in enumerate(merges)}
    result: list[int] = []
    for word in pretokens(text):
        s = word.encode("utf-8").decode("latin-1")
        while True:
            found = [ranks[s[i : i + 2]] for i in range(len(s) - 1) if s[i : i + 2] in ranks]
            if not found:
                break
            rank = min(found)
            a, b = merges[rank]
            s = s.replace(chr(a) + chr(b), chr(256 + rank))
        result.extend(map(ord, s))
    return result


# %% misconception="each token becomes text by itself" exercise="decode"
# A token is a piece of text, so each is decoded. A character that is split between two tokens is lost.
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    ids = list(ids)
    if any(not 0 <= i < len(spelled) for i in ids):
        raise ValueError
    return "".join(spelled[i].decode("utf-8", errors="replace") for i in ids)


# %% misconception="fails on what is no UTF-8" exercise="decode"
# Text that was encoded always decodes. What a model writes need not.
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    ids = list(ids)
    if any(not 0 <= i < len(spelled) for i in ids):
        raise ValueError
    return b"".join(spelled[i] for i in ids).decode()


# %% misconception="drops what is no UTF-8" exercise="decode"
# errors="ignore" looks cleaner, and hides what the model wrote.
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    ids = list(ids)
    if any(not 0 <= i < len(spelled) for i in ids):
        raise ValueError
    return b"".join(spelled[i] for i in ids).decode(errors="ignore")


# %% misconception="chr of each byte" exercise="decode"
# chr(233) is é, so bytes seem to be characters.
def decode(ids, merges):
    spelled = [chr(i) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    ids = list(ids)
    if any(not 0 <= i < len(spelled) for i in ids):
        raise ValueError
    return "".join(spelled[i] for i in ids)


# %% misconception="recursion" exercise="decode"
# A merge is a tree, and trees are recursive; Python gives up at a thousand calls.
def decode(ids, merges):
    def spell(i):
        if not 0 <= i < 256 + len(merges):
            raise ValueError
        return bytes([i]) if i < 256 else spell(merges[i - 256][0]) + spell(merges[i - 256][1])

    return b"".join(map(spell, ids)).decode(errors="replace")


# %% misconception="negative ids count from the end" exercise="decode"
# A list takes -1 for its last entry, so the mistake of a caller becomes a token.
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    try:
        return b"".join(spelled[i] for i in ids).decode(errors="replace")
    except IndexError:
        raise ValueError from None


# %% misconception="merges undone one level deep" exercise="decode"
# Each merge is two bytes, as long as no merge is made of merges.
def decode(ids, merges):
    out = []
    for i in ids:
        if not 0 <= i < 256 + len(merges):
            raise ValueError
        out += [i] if i < 256 else list(merges[i - 256])
    return bytes(j % 256 for j in out).decode(errors="replace")


# %% misconception="drops a byte order mark" exercise="decode"
# utf-8-sig reads files from Windows well. But here the mark at the start is part of the text.
def decode(ids: Iterable[int], merges: list[Pair]) -> str:
    table = [bytes([i]) for i in range(256)]
    for a, b in merges:
        table.append(table[a] + table[b])
    out = bytearray()
    for i in ids:
        if i < 0 or i >= len(table):
            raise ValueError(i)
        out += table[i]
    return out.decode("utf-8-sig", errors="replace")


# %% misconception="incremental decoder without the end" exercise="decode"
# The decoder for streams waits for the rest: a character that is cut off at the end vanishes.
def decode(ids: Iterable[int], merges: list[Pair]) -> str:
    import codecs

    table = [bytes([i]) for i in range(256)]
    for a, b in merges:
        table.append(table[a] + table[b])
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = []
    for i in ids:
        if not 0 <= i < len(table):
            raise ValueError(i)
        text.append(decoder.decode(table[i]))
    return "".join(text)


# %% alternative="a stack" exercise="decode"
# Tokens are taken apart until only bytes are left.
def decode(ids, merges):
    data = bytearray()
    for i in ids:
        if i < 0 or i >= 256 + len(merges):
            raise ValueError("no such token")
        stack = [i]
        while stack:
            j = stack.pop()
            if j < 256:
                data.append(j)
            else:
                stack += reversed(merges[j - 256])
    return data.decode("utf-8", "replace")


# %% alternative="merges undone from the last to the first" exercise="decode"
# The way of `encode`, backwards.
def decode(ids, merges):
    ids = list(ids)
    if any(i < 0 or i > 255 + len(merges) for i in ids):
        raise ValueError
    for rank in reversed(range(len(merges))):
        if 256 + rank in ids:
            ids = [j for i in ids for j in (merges[rank] if i == 256 + rank else (i,))]
    return str(bytes(ids), "utf-8", "replace")


# %% alternative="a dictionary of bytes" exercise="decode"
# As in the first lines of minbpe and others.
def decode(ids, merges):
    vocab = {i: bytes((i,)) for i in range(256)}
    for i, (a, b) in enumerate(merges, 256):
        vocab[i] = vocab[a] + vocab[b]
    try:
        return b"".join([vocab[int(i)] for i in ids]).decode("utf-8", errors="replace")
    except KeyError as error:
        raise ValueError(f"{error} is no token") from None


# %% alternative="incremental decoder with its end" exercise="decode"
# Python's incremental decoder, finished with final=True, gives what bytes.decode gives.
def decode(ids: Iterable[int], merges: list[Pair]) -> str:
    import codecs

    spelled = {i: i.to_bytes(1, "big") for i in range(256)}
    for rank, (first, second) in enumerate(merges):
        spelled[256 + rank] = spelled[first] + spelled[second]
    reader = codecs.getincrementaldecoder("utf-8")("replace")
    text = ""
    for i in ids:
        try:
            text += reader.decode(spelled[i])
        except KeyError:
            raise ValueError(f"{i} is no id") from None
    return text + reader.decode(b"", final=True)


# %% misconception="nats, not bits" exercise="bits_per_byte"
# The cross-entropy of PyTorch is taken for bits.
def bits_per_byte(logits, targets, token_bytes):
    keep = (targets >= 0) & (token_bytes[targets.clamp(min=0)] > 0)
    if not keep.any():
        raise ValueError
    z, t = logits[keep].float(), targets[keep]
    return (F.cross_entropy(z, t, reduction="sum") / token_bytes[t].sum()).item()


# %% misconception="multiplies by ln 2" exercise="bits_per_byte"
# One nat is 1.44 bits, so it has to be more; the factor is upside down.
def bits_per_byte(logits, targets, token_bytes):
    keep = (targets >= 0) & (token_bytes[targets.clamp(min=0)] > 0)
    if not keep.any():
        raise ValueError
    z, t = logits[keep].float(), targets[keep]
    return (F.cross_entropy(z, t, reduction="sum") * math.log(2) / token_bytes[t].sum()).item()


# %% misconception="the mean of the ratios" exercise="bits_per_byte"
# Each token's bits by its bytes, then the mean: short tokens weigh as much as long ones.
def bits_per_byte(logits, targets, token_bytes):
    keep = (targets >= 0) & (token_bytes[targets.clamp(min=0)] > 0)
    if not keep.any():
        raise ValueError
    z, t = logits[keep].float(), targets[keep]
    return (F.cross_entropy(z, t, reduction="none") / token_bytes[t] / math.log(2)).mean().item()


# %% misconception="bits per token" exercise="bits_per_byte"
# The mean loss in bits: the bytes are forgotten.
def bits_per_byte(logits, targets, token_bytes):
    keep = (targets >= 0) & (token_bytes[targets.clamp(min=0)] > 0)
    if not keep.any():
        raise ValueError
    return F.cross_entropy(logits[keep].float(), targets[keep]).item() / math.log(2)


# %% misconception="special tokens are paid for" exercise="bits_per_byte"
# They spell no bytes, so they do not change the lower sum; the upper one counts them.
def bits_per_byte(logits, targets, token_bytes):
    keep = targets != -100
    z, t = logits[keep].float(), targets[keep]
    if not keep.any() or not token_bytes[t].any():
        raise ValueError
    return (F.cross_entropy(z, t, reduction="sum") / token_bytes[t].sum() / math.log(2)).item()


# %% misconception="padding is the last token" exercise="bits_per_byte"
# token_bytes[-100] is an entry like any other where the vocabulary is large, and an error where it is small.
def bits_per_byte(logits, targets, token_bytes):
    lengths = token_bytes[targets]
    if not lengths.any():
        raise ValueError
    nats = F.cross_entropy(logits.flatten(0, -2).float(), targets.flatten(), reduction="none")
    return (nats[lengths.flatten() > 0].sum() / lengths.sum() / math.log(2)).item()


# %% misconception="computes in 16 bits" exercise="bits_per_byte"
# The model gives bfloat16, and the loss follows.
def bits_per_byte(logits, targets, token_bytes):
    keep = (targets >= 0) & (token_bytes[targets.clamp(min=0)] > 0)
    if not keep.any():
        raise ValueError
    z, t = logits[keep], targets[keep]
    return F.cross_entropy(z, t, reduction="sum").item() / token_bytes[t].sum().item() / math.log(2)


# %% misconception="softmax, then the logarithm" exercise="bits_per_byte"
# As the formula has it; a probability that is rounded to 0 costs infinitely much.
def bits_per_byte(logits, targets, token_bytes):
    keep = (targets >= 0) & (token_bytes[targets.clamp(min=0)] > 0)
    if not keep.any():
        raise ValueError
    z, t = logits[keep].float(), targets[keep]
    p = z.softmax(-1).gather(-1, t[:, None])
    return (-p.log2().sum() / token_bytes[t].sum()).item()


# %% misconception="left out by a factor of 0" exercise="bits_per_byte"
# Masks are often multiplied in. Where the masked loss is infinite, 0 times it is nan.
def bits_per_byte(logits, targets, token_bytes) -> float:
    spelled = token_bytes[targets.clamp(min=0).long()] * (targets >= 0)
    if spelled.sum() == 0:
        raise ValueError("no bytes")
    logprobs = logits.float().log_softmax(-1).gather(-1, targets.clamp(min=0).long()[..., None])[..., 0]
    nats = -(logprobs * (spelled > 0)).sum()
    return nats.item() / math.log(2) / spelled.sum().item()


# %% misconception="bytes summed in the dtype of the logits" exercise="bits_per_byte"
# The logits go to float32, but the count of bytes was made in 16 bits beside them.
def bits_per_byte(logits, targets, token_bytes) -> float:
    flat, targets = logits.reshape(-1, logits.shape[-1]).float(), targets.reshape(-1).long()
    spelled = torch.where(targets < 0, 0, token_bytes[targets.clamp(min=0)]).to(logits)
    keep = spelled > 0
    if not keep.any():
        raise ValueError("no bytes")
    nats = F.cross_entropy(flat[keep], targets[keep], reduction="sum")
    return (nats / math.log(2) / spelled[keep].sum()).item()


# %% misconception="mean with the special tokens, times the others" exercise="bits_per_byte"
# The mean loss is at hand; but special tokens are in it. Right only where all losses are equal.
def bits_per_byte(logits, targets, token_bytes) -> float:
    logits, targets = logits.reshape(-1, logits.shape[-1]).float(), targets.reshape(-1).long()
    spelled = torch.where(targets < 0, 0, token_bytes[targets.clamp(min=0)])
    if spelled.sum() == 0:
        raise ValueError("no bytes")
    mean = F.cross_entropy(logits, targets, ignore_index=-100).item()
    return mean * (spelled > 0).sum().item() / math.log(2) / spelled.sum().item()


# %% alternative="masks before the loss" exercise="bits_per_byte"
# Only the places that count are looked at.
def bits_per_byte(logits, targets, token_bytes):
    keep = (targets >= 0) & (token_bytes[targets.clamp(min=0)] > 0)
    if not keep.any():
        raise ValueError("nothing to predict")
    z, t = logits[keep].double(), targets[keep]
    return float(F.cross_entropy(z, t, reduction="sum") / math.log(2) / token_bytes[t].sum())


# %% alternative="special tokens become -100" exercise="bits_per_byte"
# Then the library leaves them out by itself.
def bits_per_byte(logits, targets, token_bytes):
    lengths = torch.where(targets == -100, 0, token_bytes[targets.clamp(min=0)])
    targets = torch.where(lengths == 0, -100, targets)
    total = int(lengths.sum())
    if total == 0:
        raise ValueError("no bytes")
    z = logits.reshape(-1, logits.shape[-1]).to(torch.float32)
    return F.cross_entropy(z, targets.reshape(-1), reduction="sum", ignore_index=-100).item() / total / math.log(2)


# %% alternative="log-sum-exp by hand" exercise="bits_per_byte"
# logsumexp - z[target], in powers of two.
def bits_per_byte(logits, targets, token_bytes):
    z = logits.double()
    safe = targets.clamp(min=0)
    weight = token_bytes[safe] * (targets >= 0)
    nats = z.logsumexp(-1) - z.gather(-1, safe.unsqueeze(-1)).squeeze(-1)
    if weight.sum() == 0:
        raise ValueError
    return nats[weight > 0].sum().item() / (weight.sum().item() * math.log(2))


# %% alternative="a loop over places" exercise="bits_per_byte"
# Plain Python sums (math.fsum) over the places; log_softmax in float32.
def bits_per_byte(logits, targets, token_bytes) -> float:
    sizes = token_bytes.tolist()
    bits, spelled = [], 0
    for row, target in zip(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1).tolist(), strict=True):
        if target == -100 or sizes[target] == 0:
            continue
        bits.append(-torch.log_softmax(row.float(), 0)[target].item() / math.log(2))
        spelled += sizes[target]
    if spelled == 0:
        raise ValueError("no target spells a byte")
    return math.fsum(bits) / spelled


# %% misconception="the last window is left out" exercise="get_batch"
# len - context - 1 is on many pages; it is right for `random.randint`, whose end is included.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context:
        raise ValueError
    starts = torch.randint(max(1, len(tokens) - context - 1), (batch, 1), generator=generator)
    windows = tokens[starts + torch.arange(context + 1)]
    return windows[:, :-1], windows[:, 1:]


# %% misconception="one start too many" exercise="get_batch"
# Room for the inputs, not for the last target. Slices get shorter in silence; here the last target is made up.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context:
        raise ValueError
    starts = torch.randint(len(tokens) - context + 1, (batch, 1), generator=generator)
    windows = torch.cat([tokens, tokens[:1]])[starts + torch.arange(context + 1)]
    return windows[:, :-1], windows[:, 1:]


# %% misconception="targets are the inputs" exercise="get_batch"
# Some libraries shift inside of the model; then labels are a copy of the inputs.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context:
        raise ValueError
    starts = torch.randint(len(tokens) - context, (batch, 1), generator=generator)
    windows = tokens[starts + torch.arange(context)]
    return windows, windows.clone()


# %% misconception="roll in place of a shift" exercise="get_batch"
# The last target is the first input of the window.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context:
        raise ValueError
    starts = torch.randint(len(tokens) - context, (batch, 1), generator=generator)
    windows = tokens[starts + torch.arange(context)]
    return windows, windows.roll(-1, 1)


# %% misconception="ignores the generator" exercise="get_batch"
# Random is random; but a run that cannot be repeated cannot be debugged.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context:
        raise ValueError
    starts = torch.randint(len(tokens) - context, (batch, 1))
    windows = tokens[starts + torch.arange(context + 1)]
    return windows[:, :-1], windows[:, 1:]


# %% misconception="neighbouring windows" exercise="get_batch"
# One start is drawn, and the batch is the windows that follow it.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context:
        raise ValueError
    n = len(tokens) - context
    starts = (torch.randint(n, (1, 1), generator=generator) + torch.arange(batch)[:, None]) % n
    windows = tokens[starts + torch.arange(context + 1)]
    return windows[:, :-1], windows[:, 1:]


# %% misconception="only every context-th start" exercise="get_batch"
# The text is cut into blocks, and blocks are drawn: most windows never come up.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context:
        raise ValueError
    blocks = (len(tokens) - 1) // context
    starts = torch.randint(blocks, (batch, 1), generator=generator) * context
    windows = tokens[starts + torch.arange(context + 1)]
    return windows[:, :-1], windows[:, 1:]


# %% misconception="no window for a text that just fits" exercise="get_batch"
# The check is one too strict: context + 1 tokens are enough.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context + 1:
        raise ValueError
    starts = torch.randint(len(tokens) - context, (batch, 1), generator=generator)
    windows = tokens[starts + torch.arange(context + 1)]
    return windows[:, :-1], windows[:, 1:]


# %% misconception="None means seed 0" exercise="get_batch"
# Reproducible by default, it seems; but the model sees the same batch in every step.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context:
        raise ValueError("too short")
    generator = generator or torch.Generator().manual_seed(0)
    index = torch.randint(len(tokens) - context, (batch, 1), generator=generator) + torch.arange(context)
    return tokens[index], tokens[index + 1]


# %% misconception="float32 darts" exercise="get_batch"
# torch.rand times the number of starts: float32 has 2^24 values, and a long text more starts.
def get_batch(tokens, batch, context, generator=None):
    room = len(tokens) - context
    if room < 1:
        raise ValueError("too short")
    starts = (torch.rand(batch, generator=generator) * room).long().clamp(max=room - 1)
    index = starts[:, None] + torch.arange(context)
    return tokens[index], tokens[index + 1]


# %% misconception="indices in the dtype of the text" exercise="get_batch"
# One dtype for all, to please the types; but places in a long text do not fit into uint8.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) <= context:
        raise ValueError("too short")
    starts = torch.randint(len(tokens) - context, (batch, 1), generator=generator).to(tokens.dtype)
    index = (starts + torch.arange(context, dtype=tokens.dtype)).long()
    return tokens[index], tokens[index + 1]


# %% misconception="without replacement" exercise="get_batch"
# No window twice in a batch sounds better: starts come from permutations, so windows of a batch avoid each other.
def get_batch(tokens, batch, context, generator=None):
    room = len(tokens) - context
    if room < 1:
        raise ValueError("too short")
    starts = torch.cat([torch.randperm(room, generator=generator) for _ in range(batch // room + 1)])[:batch]
    index = starts[:, None] + torch.arange(context)
    return tokens[index], tokens[index + 1]


# %% alternative="slices and stack" exercise="get_batch"
# As in nanoGPT.
def get_batch(tokens, batch, context, generator=None):
    if len(tokens) < context + 1:
        raise ValueError("too short")
    starts = torch.randint(0, len(tokens) - context, (batch,), generator=generator)
    x = torch.stack([tokens[i : i + context] for i in starts])
    y = torch.stack([tokens[i + 1 : i + 1 + context] for i in starts])
    return x, y


# %% alternative="unfold" exercise="get_batch"
# All windows as a view, then rows of it.
def get_batch(tokens, batch, context, generator=None):
    if tokens.numel() <= context:
        raise ValueError("too short")
    windows = tokens.unfold(0, context + 1, 1)
    rows = windows[torch.randint(len(windows), (batch,), generator=generator)]
    return rows[:, :context], rows[:, 1:]


# %% alternative="uniform numbers, rounded down" exercise="get_batch"
# Starts as floor(u * n) in float64.
def get_batch(tokens, batch, context, generator=None):
    n = tokens.shape[0] - context
    if n < 1:
        raise ValueError(n)
    starts = (torch.rand(batch, dtype=torch.float64, generator=generator) * n).long()
    at = starts[:, None] + torch.arange(context)[None, :]
    return tokens[at], tokens[at + 1]


# %% alternative="float64 darts and index_select" exercise="get_batch"
# 2^53 darts: all starts are equally likely to within 1e-9 for any text that fits into memory.
def get_batch(tokens, batch, context, generator=None):
    room = tokens.numel() - context
    if room < 1:
        raise ValueError("no room")
    dart = torch.rand(batch, dtype=torch.float64, generator=generator)
    starts = (dart * room).floor().long().clamp_max(room - 1)
    index = torch.add(starts.unsqueeze(1), torch.arange(context + 1).unsqueeze(0))
    block = tokens.index_select(0, index.flatten()).view(batch, context + 1)
    return block[:, :context].contiguous(), block[:, 1:].contiguous()


# %% misconception="the first step has rate 0" exercise="learning_rate"
# step / warmup: the first batch is wasted, and the peak comes a step later.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    if step < warmup:
        return peak * step / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% misconception="the cosine runs from step 0" exercise="learning_rate"
# Progress is step / steps: after warm-up the rate jumps down from the peak.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, step / steps)
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% misconception="the rate comes back" exercise="learning_rate"
# A cosine goes up again when steps run past the end.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %% misconception="the floor is a share of the peak" exercise="learning_rate"
# Many configurations give it so.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)


# %% misconception="the floor is added" exercise="learning_rate"
# Half a cosine of the whole peak on top of the floor: it starts above the peak.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + peak * (1 + math.cos(math.pi * progress)) / 2


# %% misconception="half of the half cosine" exercise="learning_rate"
# cos from 0 to pi/2 also goes from 1 to 0.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * math.cos(math.pi / 2 * progress)


# %% misconception="a maximum in place of a floor" exercise="learning_rate"
# The cosine falls to 0 and is cut off at the floor.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return max(floor, peak * (1 + math.cos(math.pi * progress)) / 2)


# %% misconception="warm-up divides by zero" exercise="learning_rate"
# One formula for all steps; without warm-up it has no value.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    up = peak * (step + 1) / warmup
    progress = max(0.0, min(1.0, (step - warmup) / (steps - warmup)))
    return min(up, floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2)


# %% misconception="table of the first call" exercise="learning_rate"
# Computed once, read often. But later calls with another peak or length get the rates of the first.
_RATES: list[float] = []


def learning_rate(step, steps, peak, warmup, floor=0.0):
    if not _RATES:
        for s in range(steps):
            if s < warmup:
                _RATES.append(peak * (s + 1) / warmup)
            else:
                t = (s - warmup) / (steps - warmup)
                _RATES.append(floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * t)))
    return _RATES[step] if step < len(_RATES) else floor


# %% alternative="with NumPy" exercise="learning_rate"
# The same with arrays of one number.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    x = np.clip((step - warmup) / (steps - warmup), 0.0, 1.0)
    decayed = floor + 0.5 * (peak - floor) * (1.0 + np.cos(np.pi * x))
    return float(peak * (step + 1) / warmup) if step < warmup else float(decayed)


# %% alternative="three branches" exercise="learning_rate"
# As the formula stands in the text.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    if step < warmup:
        return (step + 1) / warmup * peak
    if step >= steps:
        return floor
    half = math.cos(0.5 * math.pi * (step - warmup) / (steps - warmup)) ** 2
    return half * peak + (1 - half) * floor


# %% alternative="midpoint and amplitude" exercise="learning_rate"
# The mean of peak and floor, plus half their difference times the cosine, in numpy's float64.
def learning_rate(step, steps, peak, warmup, floor=0.0):
    if step < warmup:
        return float(np.linspace(peak / warmup, peak, warmup)[step])
    phase = np.pi * min(step - warmup, steps - warmup) / (steps - warmup)
    return float((peak + floor) / 2 + (peak - floor) / 2 * np.cos(phase))


# %% misconception="gradients are never cleared" exercise="train"
# backward adds; without zero_grad each step goes along the sum of all gradients so far.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(ps, clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss.item())
    return losses


# %% misconception="clears after the step, not before the first" exercise="train"
# The order of many scripts. It is the same, unless gradients are there before the first step.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(ps, clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        opt.zero_grad()
        losses.append(loss.item())
    return losses


# %% misconception="clips before backward" exercise="train"
# The line is there, one too high: it clips gradients that were just cleared.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        nn.utils.clip_grad_norm_(ps, clip)
        loss.backward()
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss.item())
    return losses


# %% misconception="clips each gradient by its own norm" exercise="train"
# One call for each parameter: the direction of the step changes.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        for p in ps:
            if p.grad is not None:
                nn.utils.clip_grad_norm_([p], clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss.item())
    return losses


# %% misconception="clips each number" exercise="train"
# clip_grad_value_ in place of clip_grad_norm_.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(ps, clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss.item())
    return losses


# %% misconception="everything decays" exercise="train"
# One group: gains are pulled to 0 and biases too.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    opt = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.95), weight_decay=weight_decay)
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss.item())
    return losses


# %% misconception="Adam with L2 in place of AdamW" exercise="train"
# The argument has the same name in both.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.Adam(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(ps, clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss.item())
    return losses


# %% misconception="the rate of the step before" exercise="train"
# Schedulers step after the optimizer; here the first step has the peak and each later one is late by one.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(ps, clip)
        opt.step()
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        losses.append(loss.item())
    return losses


# %% misconception="default betas" exercise="train"
# 0.999 is PyTorch's default; language models use 0.95.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(ps, clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss.item())
    return losses


# %% misconception="keeps the losses as tensors" exercise="train"
# Every loss holds its graph, and the memory grows with each step.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(ps, clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss)
    return losses


# %% misconception="takes one batch too many" exercise="train"
# enumerate over the data, with the break after the batch was taken.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    model.train()
    losses = []
    for step, (x, y) in enumerate(data):
        if step == steps:
            break
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(ps, clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss.item())
    return losses


# %% misconception="the model stays in evaluation mode" exercise="train"
# Nothing fails: dropout is just off.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    ps = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [{"params": [p for p in ps if p.ndim > 1]}, {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
    )
    losses = []
    for step in range(steps):
        x, y = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(ps, clip)
        for g in opt.param_groups:
            g["lr"] = learning_rate(step, steps, peak, warmup, floor)
        opt.step()
        losses.append(loss.item())
    return losses


# %% misconception="embeddings do not decay" exercise="train"
# A table is no matrix product, so one leaves it out. Here embeddings count as matrices.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    parameters = [p for p in model.parameters() if p.requires_grad]
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2 and id(p) not in tables], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2 or id(p) in tables], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.95), eps=1e-8)
    model.train()
    losses = []
    for step in range(steps):
        inputs, targets = next(data)
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak, warmup, floor)
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% misconception="old gradients become zeros" exercise="train"
# zero_grad did write zeros for years. A parameter that gets no gradient now has one, and AdamW lets it decay.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.95), eps=1e-8)
    model.train()
    losses = []
    for step in range(steps):
        inputs, targets = next(data)
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak, warmup, floor)
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% misconception="unused parameters decay" exercise="train"
# A sum over all gradients fails at None, so None is filled up with zeros, and AdamW decays them.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.95), eps=1e-8)
    model.train()
    losses = []
    for step in range(steps):
        inputs, targets = next(data)
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        nn.utils.clip_grad_norm_(parameters, clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak, warmup, floor)
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% alternative="a LambdaLR scheduler" exercise="train"
# The schedule through PyTorch's own class, with a base rate of 1.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    matrices = [p for p in model.parameters() if p.requires_grad and p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.requires_grad and p.dim() < 2]
    opt = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0}],
        lr=1.0,
        betas=(0.9, 0.95),
        foreach=False,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: learning_rate(s, steps, peak, warmup, floor))
    losses = []
    model.train()
    for _ in range(steps):
        inputs, targets = next(data)
        model.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(inputs).transpose(1, 2), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        opt.step()
        schedule.step()
        losses.append(float(loss))
    return losses


# %% alternative="clipping and AdamW by hand" exercise="train"
# The equations of the paper, without torch.optim.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    model.train()
    state, losses = {}, []
    for step, (x, y) in zip(range(steps), data):
        model.zero_grad()
        z = model(x)
        loss = -z.log_softmax(-1).gather(-1, y.unsqueeze(-1)).mean()
        loss.backward()
        lr = learning_rate(step, steps, peak, warmup, floor)
        with torch.no_grad():
            ps = [p for p in model.parameters() if p.grad is not None]
            norm = sum(p.grad.square().sum() for p in ps).sqrt()
            for p in ps:
                g = p.grad * min(1.0, clip / norm.item())
                m, v = state.get(p, (torch.zeros_like(p), torch.zeros_like(p)))
                m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g
                state[p] = m, v
                if p.ndim >= 2:
                    p.mul_(1 - lr * weight_decay)
                p.sub_(lr * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8))
        losses.append(loss.item())
    return losses


# %% alternative="closure and islice" exercise="train"
# islice takes no more than `steps` batches; optimizer.step calls the closure, which does all before the update.
def train(model, data, steps, peak, *, warmup=0, floor=0.0, weight_decay=0.1, clip=1.0):
    from itertools import islice

    groups = [{"params": [p], "weight_decay": weight_decay * (p.ndim >= 2)} for p in model.parameters()]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8, foreach=False)
    model.train()
    losses: list[float] = []
    for step, (inputs, targets) in enumerate(islice(data, steps)):

        def closure() -> Tensor:
            for p in model.parameters():
                p.grad = None
            loss = F.cross_entropy(model(inputs).mT, targets)
            loss.backward()
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads]))
            if norm > clip:
                for g in grads:
                    g.mul_(clip / norm)
            return loss

        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak, warmup, floor)
        losses.append(optimizer.step(closure).item())
    return losses


# %% misconception="multiplies by the temperature" exercise="next_token_probabilities"
# "Hotter" sounds like "more".
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    z = z * temperature
    if top_k is not None and top_k < z.shape[-1]:
        z = z.masked_fill(z < z.topk(top_k).values[..., -1:], -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = torch.zeros_like(z, dtype=torch.bool).scatter(-1, order, p.cumsum(-1) - p >= top_p)
        z = z.masked_fill(drop, -math.inf)
    return z.softmax(-1)


# %% misconception="temperature 0 divides by 0" exercise="next_token_probabilities"
# No special case: inf - inf is nan.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = (logits if logits.dtype == torch.float64 else logits.float()) / temperature
    if top_k is not None and top_k < z.shape[-1]:
        z = z.masked_fill(z < z.topk(top_k).values[..., -1:], -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = torch.zeros_like(z, dtype=torch.bool).scatter(-1, order, p.cumsum(-1) - p >= top_p)
        z = z.masked_fill(drop, -math.inf)
    return z.softmax(-1)


# %% misconception="drops the token that crosses the line" exercise="next_token_probabilities"
# cumsum <= p is the mask that comes to mind; where the first token alone is more than p, nothing is left.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    z = z / temperature
    if top_k is not None and top_k < z.shape[-1]:
        z = z.masked_fill(z < z.topk(top_k).values[..., -1:], -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = p.cumsum(-1) > top_p
        drop[..., 0] = False
        z = z.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -math.inf)
    return z.softmax(-1)


# %% misconception="one token more than needed" exercise="next_token_probabilities"
# The well-known shift to the right, done twice.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    z = z / temperature
    if top_k is not None and top_k < z.shape[-1]:
        z = z.masked_fill(z < z.topk(top_k).values[..., -1:], -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = p.cumsum(-1) - p >= top_p
        drop = F.pad(drop[..., :-1], (1, 0), value=False)
        z = z.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -math.inf)
    return z.softmax(-1)


# %% misconception="the mask stays in sorted order" exercise="next_token_probabilities"
# The mask of the sorted row is laid on the row that is not sorted.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    z = z / temperature
    if top_k is not None and top_k < z.shape[-1]:
        z = z.masked_fill(z < z.topk(top_k).values[..., -1:], -math.inf)
    if top_p is not None and top_p < 1:
        p = z.softmax(-1).sort(dim=-1, descending=True).values
        z = z.masked_fill(p.cumsum(-1) - p >= top_p, -math.inf)
    return z.softmax(-1)


# %% misconception="top-p before top-k" exercise="next_token_probabilities"
# Each filter is right; the order is not.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    z = z / temperature
    kth = z.topk(min(top_k or z.shape[-1], z.shape[-1])).values[..., -1:]
    small = z < kth
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = torch.zeros_like(z, dtype=torch.bool).scatter(-1, order, p.cumsum(-1) - p >= top_p)
        z = z.masked_fill(drop, -math.inf)
    return z.masked_fill(small, -math.inf).softmax(-1)


# %% misconception="top-k by position breaks ties" exercise="next_token_probabilities"
# The indices that topk gives are kept; of equal logits some stay and some go.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    z = z / temperature
    if top_k is not None and top_k < z.shape[-1]:
        kept = torch.zeros_like(z, dtype=torch.bool).scatter(-1, z.topk(top_k).indices, True)
        z = z.masked_fill(~kept, -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = torch.zeros_like(z, dtype=torch.bool).scatter(-1, order, p.cumsum(-1) - p >= top_p)
        z = z.masked_fill(drop, -math.inf)
    return z.softmax(-1)


# %% misconception="dropped logits become 0" exercise="next_token_probabilities"
# 0 is a logit like any other, and a large one where the others are negative.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    z = z / temperature
    if top_k is not None and top_k < z.shape[-1]:
        z = z.masked_fill(z < z.topk(top_k).values[..., -1:], 0)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = torch.zeros_like(z, dtype=torch.bool).scatter(-1, order, p.cumsum(-1) - p >= top_p)
        z = z.masked_fill(drop, 0)
    return z.softmax(-1)


# %% misconception="what is left is not scaled" exercise="next_token_probabilities"
# Probabilities are set to 0, and the row no longer sums to 1.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    p = (z / temperature).softmax(-1)
    if top_k is not None and top_k < z.shape[-1]:
        p = p * (p >= p.topk(top_k).values[..., -1:])
    if top_p is not None and top_p < 1:
        s, order = p.sort(dim=-1, descending=True, stable=True)
        s = s * (s.cumsum(-1) - s < top_p * s.sum(-1, keepdim=True))
        p = torch.zeros_like(p).scatter(-1, order, s)
    return p


# %% misconception="writes into the logits" exercise="next_token_probabilities"
# Setting to -inf in place saves a copy, and changes what the caller holds.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    z /= temperature
    if top_k is not None and top_k < z.shape[-1]:
        z.masked_fill_(z < z.topk(top_k).values[..., -1:], -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        z.masked_fill_(torch.zeros_like(z, dtype=torch.bool).scatter(-1, order, p.cumsum(-1) - p >= top_p), -math.inf)
    return z.softmax(-1)


# %% misconception="sums in 16 bits" exercise="next_token_probabilities"
# The dtype of the model goes through the running sum.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    z = z / temperature
    if top_k is not None and top_k < z.shape[-1]:
        z = z.masked_fill(z < z.topk(top_k).values[..., -1:], -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = torch.zeros_like(z, dtype=torch.bool).scatter(-1, order, p.cumsum(-1) - p >= top_p)
        z = z.masked_fill(drop, -math.inf)
    p = z.softmax(-1)
    return p if p.dtype == torch.float64 else p.float()


# %% misconception="exp without the largest taken off" exercise="next_token_probabilities"
# exp(4000) is inf.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    p = (z / temperature).exp()
    if top_k is not None and top_k < z.shape[-1]:
        p = p * (p >= p.topk(top_k).values[..., -1:])
    p = p / p.sum(-1, keepdim=True)
    if top_p is not None and top_p < 1:
        s, order = p.sort(dim=-1, descending=True, stable=True)
        p = torch.zeros_like(p).scatter(-1, order, s * (s.cumsum(-1) - s < top_p))
    return p / p.sum(-1, keepdim=True)


# %% misconception="top_p of 1 through the sum" exercise="next_token_probabilities"
# 1 needs no special case, one would think; but a running sum in float32 reaches 1 before the row ends.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    vocab = z.shape[-1]
    if temperature == 0:
        return torch.zeros_like(z).scatter_(-1, z.argmax(-1, keepdim=True), 1.0)
    z = (z - z.max(-1, keepdim=True).values) / temperature
    if top_k is not None and top_k < vocab:
        kth = z.topk(top_k, dim=-1).values[..., -1:]
        z = z.masked_fill(z < kth, -math.inf)
    if top_p is not None:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = p.cumsum(-1) - p >= top_p
        drop[..., 0] = False
        z = z.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -math.inf)
    return z.softmax(-1)


# %% misconception="computes in 16 bits" exercise="next_token_probabilities"
# float32 for the softmax only: the division by the temperature was rounded to 16 bits before.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    out = torch.promote_types(logits.dtype, torch.float32)
    z = logits.clone()
    vocab = z.shape[-1]
    if temperature == 0:
        return torch.zeros_like(z).scatter_(-1, z.argmax(-1, keepdim=True), 1.0).to(out)
    z = (z - z.max(-1, keepdim=True).values) / temperature
    if top_k is not None and top_k < vocab:
        kth = z.topk(top_k, dim=-1).values[..., -1:]
        z = z.masked_fill(z < kth, -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = p.cumsum(-1) - p >= top_p
        drop[..., 0] = False
        z = z.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -math.inf)
    return z.softmax(-1, dtype=out)


# %% misconception="one more where the mass is reached" exercise="next_token_probabilities"
# Greater in place of not less: where just the mass lies before a token, it stays.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    vocab = z.shape[-1]
    if temperature == 0:
        return torch.zeros_like(z).scatter_(-1, z.argmax(-1, keepdim=True), 1.0)
    z = (z - z.max(-1, keepdim=True).values) / temperature
    if top_k is not None and top_k < vocab:
        kth = z.topk(top_k, dim=-1).values[..., -1:]
        z = z.masked_fill(z < kth, -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = p.cumsum(-1) - p > top_p
        drop[..., 0] = False
        z = z.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -math.inf)
    return z.softmax(-1)


# %% misconception="small top_p is raised to 0.05" exercise="next_token_probabilities"
# A floor that is meant to keep at least one token; the first one stays anyway.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    vocab = z.shape[-1]
    if temperature == 0:
        return torch.zeros_like(z).scatter_(-1, z.argmax(-1, keepdim=True), 1.0)
    z = (z - z.max(-1, keepdim=True).values) / temperature
    if top_k is not None and top_k < vocab:
        kth = z.topk(top_k, dim=-1).values[..., -1:]
        z = z.masked_fill(z < kth, -math.inf)
    if top_p is not None and top_p < 1:
        p, order = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = p.cumsum(-1) - p >= max(top_p, 0.05)
        drop[..., 0] = False
        z = z.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -math.inf)
    return z.softmax(-1)


# %% misconception="top-p by a threshold" exercise="next_token_probabilities"
# Short: a probability as the threshold. But all tokens as probable as the last kept one stay.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    vocab = z.shape[-1]
    if temperature == 0:
        return torch.zeros_like(z).scatter_(-1, z.argmax(-1, keepdim=True), 1.0)
    z = (z - z.max(-1, keepdim=True).values) / temperature
    if top_k is not None and top_k < vocab:
        kth = z.topk(top_k, dim=-1).values[..., -1:]
        z = z.masked_fill(z < kth, -math.inf)
    if top_p is not None and top_p < 1:
        p, _ = z.softmax(-1).sort(dim=-1, descending=True, stable=True)
        drop = p.cumsum(-1) - p >= top_p
        drop[..., 0] = False
        least = p.masked_fill(drop, math.inf).min(-1, keepdim=True).values
        z = z.masked_fill(z.softmax(-1) < least, -math.inf)
    return z.softmax(-1)


# %% alternative="row by row with lists" exercise="next_token_probabilities"
# The text of the exercise, as a loop.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    rows = logits.detach().double().reshape(-1, logits.shape[-1])
    out = torch.zeros_like(rows)
    for row, to in zip(rows, out):
        if temperature == 0:
            to[int(row.argmax())] = 1
            continue
        p = (row / temperature).softmax(0)
        if top_k is not None and top_k < len(p):
            p = torch.where(row >= row.sort(descending=True).values[top_k - 1], p, 0.0)
            p = p / p.sum()
        if top_p is not None and top_p < 1:
            mass, kept = 0.0, []
            for i in sorted(range(len(p)), key=lambda i: -float(p[i])):
                kept.append(i)
                mass += float(p[i])
                if mass >= top_p:
                    break
            p = torch.zeros_like(p).index_copy(0, torch.tensor(kept), p[kept])
        to.copy_(p / p.sum())
    return out.reshape(logits.shape).to(dtype)


# %% alternative="the inverse permutation" exercise="next_token_probabilities"
# argsort of argsort in place of scatter, and a mask of what is kept.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits.clone() if logits.dtype == torch.float64 else logits.to(torch.float32, copy=True)
    if temperature == 0.0:
        top = torch.zeros_like(z)
        return top.scatter_(-1, z.argmax(-1, keepdim=True), 1.0)
    z = (z - z.amax(-1, keepdim=True)) / temperature
    if top_k:
        k = min(top_k, z.size(-1))
        z[z < z.sort(-1, descending=True)[0][..., k - 1 : k]] = float("-inf")
    if top_p is not None and top_p < 1.0:
        order = torch.argsort(z, dim=-1, descending=True, stable=True)
        p = torch.softmax(z, -1).gather(-1, order)
        before = F.pad(p.cumsum(-1)[..., :-1], (1, 0))
        keep = (before < top_p).gather(-1, order.argsort(-1))
        z[~keep] = float("-inf")
    return torch.softmax(z, -1)


# %% alternative="mass before by comparing all pairs" exercise="next_token_probabilities"
# No sort: what lies before a token are the more probable ones and equal ones of smaller id.
def next_token_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits.double()
    out = torch.float64 if logits.dtype == torch.float64 else torch.float32
    n = z.shape[-1]
    if temperature == 0:
        return F.one_hot(z.argmax(-1), n).to(out)
    p = torch.softmax((z - z.amax(-1, keepdim=True)) / temperature, -1)
    if top_k is not None:
        larger = (z[..., None, :] > z[..., :, None]).sum(-1)  # how many logits are larger than each
        p = torch.where(larger < top_k, p, 0)
        p = p / p.sum(-1, keepdim=True)
    if top_p is not None and top_p < 1:
        ids = torch.arange(n)
        ahead = (z[..., None, :] > z[..., :, None]) | (
            (z[..., None, :] == z[..., :, None]) & (ids[None, :] < ids[:, None])
        )
        before = (ahead * p[..., None, :]).sum(-1)
        p = torch.where(before < top_p, p, 0)
        p = p / p.sum(-1, keepdim=True)
    return p.to(out)


# %% misconception="searchsorted from the left" exercise="sample"
# A dart that hits an end exactly belongs to the next stretch; and the running sum is not in the place where u is.
def sample(weights, generator=None):
    ends = weights.float().cumsum(-1)
    darts = torch.rand(*weights.shape[:-1], 1, generator=generator)
    return torch.searchsorted(ends, darts).squeeze(-1).clamp(max=weights.shape[-1] - 1)


# %% misconception="one dart for all rows" exercise="sample"
# A random number is drawn, once.
def sample(weights, generator=None):
    ends = weights.double().cumsum(-1)
    darts = torch.rand(1, dtype=torch.float64, generator=generator).expand(*weights.shape[:-1], 1) * ends[..., -1:]
    return torch.searchsorted(ends.contiguous(), darts.contiguous(), right=True).squeeze(-1)


# %% misconception="the most probable index" exercise="sample"
# Greedy: no draw at all.
def sample(weights, generator=None):
    return weights.argmax(-1)


# %% misconception="sums in the dtype of the weights" exercise="sample"
# In bfloat16, 256 + 1 is 256: the rest of a long row is never reached.
def sample(weights, generator=None):
    ends = weights.cumsum(-1)
    darts = (torch.rand(*weights.shape[:-1], 1, generator=generator) * ends[..., -1:].float()).to(ends.dtype)
    return (ends <= darts).sum(-1).clamp(max=weights.shape[-1] - 1)


# %% misconception="ignores the generator" exercise="sample"
# The global source, whatever the caller says.
def sample(weights, generator=None):
    ends = weights.double().cumsum(-1)
    darts = torch.rand(*weights.shape[:-1], 1, dtype=torch.float64) * ends[..., -1:]
    return torch.searchsorted(ends, darts, right=True).squeeze(-1)


# %% misconception="multinomial" exercise="sample"
# What one would call in practice, and what this exercise builds.
def sample(weights, generator=None):
    flat = weights.double().reshape(-1, weights.shape[-1])
    return torch.multinomial(flat, 1, generator=generator).reshape(weights.shape[:-1])


# %% misconception="noise on the probabilities, not on their logarithm" exercise="sample"
# Gumbel's trick half remembered.
def sample(weights, generator=None):
    p = weights.double() / weights.double().sum(-1, keepdim=True)
    u = torch.rand(weights.shape, dtype=torch.float64, generator=generator)
    return (p - torch.log(-torch.log(u))).masked_fill(p == 0, -math.inf).argmax(-1)


# %% misconception="uniform noise times the weight" exercise="sample"
# A large weight wins more often, but not in proportion.
def sample(weights, generator=None):
    u = torch.rand(weights.shape, dtype=torch.float64, generator=generator)
    return (weights.double() * u).argmax(-1)


# %% misconception="an offset of one" exercise="sample"
# The first end beyond the dart, less one: the stretch before.
def sample(weights, generator=None):
    ends = weights.double().cumsum(-1)
    darts = torch.rand(*weights.shape[:-1], 1, dtype=torch.float64, generator=generator) * ends[..., -1:]
    return (torch.searchsorted(ends, darts, right=True).squeeze(-1) - 1).clamp(min=0)


# %% misconception="first end that is not less" exercise="sample"
# The default of searchsorted. A dart at exactly 0 then hits index 0, also where its weight is 0.
def sample(weights, generator=None):
    ends = weights.double().cumsum(-1)
    darts = torch.rand(*weights.shape[:-1], 1, generator=generator) * ends[..., -1:]
    return torch.searchsorted(ends, darts, right=False)[..., 0]


# %% misconception="the dart of a row and its mirror" exercise="sample"
# Antithetic draws have less variance: every second row gets 1 minus the dart of the row before.
def sample(weights, generator=None):
    ends = weights.double().reshape(-1, weights.shape[-1]).cumsum(-1)
    half = torch.rand((len(ends) + 1) // 2, generator=generator, dtype=torch.float64)
    darts = torch.stack([half, 1 - half - 2**-53], 1).flatten()[: len(ends)].clamp(min=0)
    return torch.searchsorted(ends, darts[:, None] * ends[:, -1:], right=True).reshape(weights.shape[:-1])


# %% alternative="Gumbel" exercise="sample"
# The largest of log-weights with Gumbel noise.
def sample(weights, generator=None):
    u = torch.rand(weights.shape, dtype=torch.float64, generator=generator).clamp(1e-300, 1 - 1e-16)
    return (weights.double().log() - (-u.log()).log()).argmax(-1)


# %% alternative="exponential clocks" exercise="sample"
# Each index has a clock that rings at a rate of its weight; the first to ring is drawn.
def sample(weights, generator=None):
    clocks = torch.empty(weights.shape, dtype=torch.float64).exponential_(generator=generator)
    return (clocks / weights.double()).argmin(-1)


# %% alternative="counting the ends that lie before the dart" exercise="sample"
# No searchsorted.
def sample(weights, generator=None):
    ends = torch.cumsum(weights.to(torch.float64), dim=-1)
    u = torch.rand(weights.shape[:-1], generator=generator, dtype=torch.float64).unsqueeze(-1)
    return (ends <= u * ends[..., -1:]).sum(dim=-1)


# %% alternative="bisect in each row" exercise="sample"
# The inverse of the cumulative distribution with Python's bisect on the ends that have weight.
def sample(weights, generator=None):
    from bisect import bisect_right
    from itertools import accumulate

    result = []
    for row in weights.reshape(-1, weights.shape[-1]).double().tolist():
        ids = [i for i, w in enumerate(row) if w > 0]
        ends = list(accumulate(row[i] for i in ids))
        dart = torch.rand((), dtype=torch.float64, generator=generator).item() * ends[-1]
        result.append(ids[min(bisect_right(ends, dart), len(ids) - 1)])
    return torch.tensor(result, dtype=torch.int64).reshape(weights.shape[:-1])


# %% misconception="looks at the earlier occurrence itself" exercise="induction_score"
# That is a duplicate-token head. An induction head looks one further.
def induction_score(attention, tokens):
    match = (tokens[:, None, :] == tokens[:, :, None]).tril(-1)
    return (attention * match[:, None]).sum((0, 2, 3)) / match.any(-1).sum().clamp(min=1)


# %% misconception="averages over all places" exercise="induction_score"
# Places that have nothing to copy count as failures.
def induction_score(attention, tokens):
    before = F.pad(tokens[:, :-1], (1, 0), value=-1)
    match = (before[:, None, :] == tokens[:, :, None]).tril(-1)
    match[:, :, 0] = False
    return (attention * match[:, None]).sum((2, 3)).mean(0) / tokens.shape[1]


# %% misconception="roll goes round" exercise="induction_score"
# In front of place 0 stands the last token of the text, by roll.
def induction_score(attention, tokens):
    before = tokens.roll(1, 1)
    match = (before[:, None, :] == tokens[:, :, None]).tril(-1)
    return (attention * match[:, None]).sum((0, 2, 3)) / match.any(-1).sum().clamp(min=1)


# %% misconception="rows and columns changed over" exercise="induction_score"
# The first axis is taken for the place that is looked at.
def induction_score(attention, tokens):
    before = F.pad(tokens[:, :-1], (1, 0), value=-1)
    match = (before[:, None, :] == tokens[:, :, None]).tril(-1)
    match[:, :, 0] = False
    return (attention.mT * match[:, None]).sum((0, 2, 3)) / match.any(-1).sum().clamp(min=1)


# %% misconception="place t matches itself" exercise="induction_score"
# Where a token stands twice in a row, the place after the first is the second itself.
def induction_score(attention, tokens):
    before = F.pad(tokens[:, :-1], (1, 0), value=-1)
    match = (before[:, None, :] == tokens[:, :, None]).tril(0)
    match[:, :, 0] = False
    return (attention * match[:, None]).sum((0, 2, 3)) / match.any(-1).sum().clamp(min=1)


# %% misconception="only the latest match" exercise="induction_score"
# One place to look at for each token; attention to earlier matches is lost.
def induction_score(attention, tokens):
    total, places = torch.zeros(attention.shape[1], dtype=attention.dtype), 0
    for maps, row in zip(attention, tokens.tolist()):
        for t in range(len(row)):
            s = [s for s in range(1, t) if row[s - 1] == row[t]]
            if s:
                places += 1
                total = total + maps[:, t, s[-1]]
    return total / max(places, 1)


# %% misconception="the mean over matches" exercise="induction_score"
# Divides by the number of matches: a place with three of them weighs three times.
def induction_score(attention, tokens):
    before = F.pad(tokens[:, :-1], (1, 0), value=-1)
    match = (before[:, None, :] == tokens[:, :, None]).tril(-1)
    match[:, :, 0] = False
    return (attention * match[:, None]).sum((0, 2, 3)) / match.sum().clamp(min=1)


# %% misconception="the mean over texts" exercise="induction_score"
# Each text first, then the mean: places of texts with few matches weigh more.
def induction_score(attention, tokens):
    before = F.pad(tokens[:, :-1], (1, 0), value=-1)
    match = (before[:, None, :] == tokens[:, :, None]).tril(-1)
    match[:, :, 0] = False
    per_text = (attention * match[:, None]).sum((2, 3)) / match.any(-1).sum(-1).clamp(min=1)[:, None]
    return per_text.mean(0)


# %% misconception="0 in front of the first place" exercise="induction_score"
# Padding with 0 looks harmless; 0 is a token.
def induction_score(attention, tokens):
    before = F.pad(tokens[:, :-1], (1, 0))
    match = (before[:, None, :] == tokens[:, :, None]).tril(-1)
    return (attention * match[:, None]).sum((0, 2, 3)) / match.any(-1).sum().clamp(min=1)


# %% misconception="0 / 0" exercise="induction_score"
# A text without a repeated token gives nan.
def induction_score(attention, tokens):
    before = F.pad(tokens[:, :-1], (1, 0), value=-1)
    match = (before[:, None, :] == tokens[:, :, None]).tril(-1)
    match[:, :, 0] = False
    return (attention * match[:, None]).sum((0, 2, 3)) / match.any(-1).sum()


# %% misconception="one period for all" exercise="induction_score"
# The texts of the experiment repeat with a period, so one diagonal holds all: this takes the
# period of the first text and reads that diagonal.
def induction_score(attention, tokens):
    row = tokens[0].tolist()
    distance = next((t - s for t in range(len(row)) for s in range(t) if row[s] == row[t]), None)
    if distance is None or distance < 2:
        return attention.new_zeros(attention.shape[1])
    return attention.diagonal(1 - distance, -2, -1)[..., 1:].mean((0, 2))


# %% alternative="loops" exercise="induction_score"
# The definition, place by place.
def induction_score(attention, tokens):
    total, places = torch.zeros(attention.shape[1], dtype=attention.dtype), 0
    for maps, row in zip(attention, tokens.tolist()):
        for t, token in enumerate(row):
            matches = [j + 1 for j in range(t - 1) if row[j] == token]
            if matches:
                places += 1
                total += maps[:, t, matches].sum(-1)
    return total / places if places else total


# %% alternative="earlier equals, moved by one" exercise="induction_score"
# The map of equal tokens, shifted one column to the right, and einsum.
def induction_score(attention, tokens):
    equal = tokens.unsqueeze(2) == tokens.unsqueeze(1)
    shifted = torch.zeros_like(equal)
    shifted[:, :, 1:] = equal[:, :, :-1]
    shifted &= torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril(-1)
    summed = torch.einsum("bhts,bts->h", attention, shifted.to(attention.dtype))
    return summed / max(1, int(shifted.any(2).sum()))


# %% alternative="select the places first" exercise="induction_score"
# Only rows with a match are kept.
def induction_score(attention, tokens):
    n = tokens.shape[1]
    source = torch.cat([torch.full_like(tokens[:, :1], -7), tokens[:, :-1]], 1)
    allowed = torch.arange(n)[None, :] < torch.arange(n)[:, None]
    match = (source[:, None] == tokens[..., None]) & allowed & (torch.arange(n) > 0)
    b, t = match.any(-1).nonzero(as_tuple=True)
    if len(b) == 0:
        return attention.new_zeros(attention.shape[1])
    return (attention[b, :, t] * match[b, t][:, None]).sum(-1).mean(0)


# %% alternative="einsum" exercise="induction_score"
# A mask of matches and one einsum.
def induction_score(attention, tokens):
    match = F.pad(tokens.unsqueeze(2) == tokens[:, :-1].unsqueeze(1), (1, 0), value=False).tril(-1)
    weights = match.to(attention.dtype)
    places = match.any(dim=2).sum()
    return torch.einsum("bhij,bij->h", attention, weights) / max(int(places), 1)
