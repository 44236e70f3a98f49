"""Many runs of one command: read from a file, run here or on a cluster, resumed, watched.

It knows commands and run folders, and nothing of what a command computes; nothing here imports
torch, so that a study is a small process beside its runs.

    schema     the study file, checked
    plan       its cells and references as jobs: which commands, in which folder
    check      refuses bad flags before anything starts
    cell       runs one job to its end, resuming it where it was
    local      jobs on this machine, its cores and GPUs shared out
    cluster    jobs on a Ray cluster
    search     hyper-parameters drawn by Optuna instead of listed
    tune       one flag of each method from a few values, before the study
    scheduler  starts jobs, retries them, saves their state
    record     the persistent state: state.json and results.csv
    live       the table on the terminal
"""
