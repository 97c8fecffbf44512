S_TO_NS = 10**9
