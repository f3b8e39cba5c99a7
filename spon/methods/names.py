"""The methods of a study, and the sparsifiers that they have."""

# What chooses sparsities for the sparsifier of another method.
GREEDY = "greedy"
BY_RANK, THRESHOLD = "topk", "threshold"
# Sparsifiers; all but the one by rank have a threshold per site.
SPARSIFIERS = (THRESHOLD, BY_RANK, "wina")
