"""A table of the papers from the run folders of its cells: what `rl_attn.reports` gives for any
study, and what only classifiers have.

    table       the table's file, checked; its settings for the figures
    curves      deletion and insertion curves with bands (CAMAL, Fig. 5 and 12)
    variance    where attention varies over the test pictures (CAMAL, Fig. 3)
    examples    attention of the methods side by side on the same test pictures
    overhead    time of an epoch, beside the baseline's
    arrays      reads what runs left, defensively
    report      all of it, in order

Before the runs have ended only `table` is loaded, which is small: they need the memory.
"""
