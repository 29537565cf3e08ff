"""A search in place of a grid: a sampler of Optuna's proposes which variant to train next.

hydra-optuna-sweeper 1.3.0, the usual way from Hydra to Optuna, wants an Optuna below 3 (this one
works with 4 and 5), keeps what it knows in a database of its own beside the runs, whose sqlite
fails under SQLAlchemy 2.1, ends a search at the first trial that fails unless a rate allows it, and
counts its jobs from 0 each time. So the sweeper is ours, and Optuna does what it is best at: given
all that is known, it proposes the next variant. What is known are the study's records, read anew by
every command and told to a sampler that is made for each proposal and forgotten after it. Nothing
else has to survive: a search that is killed goes on as if it had not been, one that finds the runs
of a sweep makes use of them, and removing a run's folder is all that it takes to forget it.

    space.py     the values of each key, and the variants that they make
    trials.py    what is looked for, and what came of the variants that were tried
    sampler.py   which one next; the only one to import Optuna
    loop.py      proposals to an executor, records to trials
    command.py   from the command line to the report
"""
