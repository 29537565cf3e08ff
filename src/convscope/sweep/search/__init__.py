"""Search in place of a grid: a sampler of Optuna proposes the variant to train next.

The usual bridge from Hydra to Optuna, hydra-optuna-sweeper 1.3.0, needs Optuna below 3 (this search
works with 4 and 5), stores its trials in a separate database, whose sqlite fails under SQLAlchemy
2.1, stops at the first failed trial unless a rate allows it, and counts its jobs from 0 each time.
Here, Optuna only proposes the next variant, from the study's records. Every command reads these
again, and each proposal has a new sampler. So there is no other state: a killed search resumes, it
uses the runs of a sweep, and removing a run's folder removes its trial.

    space.py     values of each key, and the variants that they form
    trials.py    objectives, and the outcomes of the variants that were tried
    sampler.py   proposal of the next variant; the only module that imports Optuna
    loop.py      submits proposals to an executor and turns records into trials
    command.py   the command, from its arguments to the last trial
    results.py   comparison, best variants and reports at the end
"""
