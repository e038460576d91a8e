"""Studies: a space of settings, its cells over several seeds, and the workers that run them.

    what is asked for   space, space_file (axes as typed), draws, suggest (settings), unread (keys that a cell does not
                        read), spec (all of it, as kept), make, check (from words to a spec), start (made, or found)
    where it is kept    study_folder, storage (journal or database), journal_lock, stored (is it sound), store; view (a
                        look at it, as values)
    who has what        claims (attempts), cell_trials (cells), heartbeat, processes (who is alive)
    who works           crew (workers of one machine), shares (GPU and threads of each), worker, choose (what is next),
                        runner (one attempt), orders (what ends it early), leash, results (what a run's folder says)
    how cells end       prune, closing, ranking, publish*, figures, plots_*
    beside              cost (before), playing (meanwhile), slurm

How a run is played. A worker looks at the study and picks a run (``choose``). It writes a claim and reads again: of
the live claims on a run the lowest number holds, the others withdraw (``claims``). It ends what is left of the last
attempt, checks that the run's folder is this run's, and starts ``sdar train`` or ``sdar resume`` (``runner``), on a
leash that a dead worker lets go. While that plays, a thread gives signs of life (``heartbeat``), and the study is
asked for orders: paused, pruned, taken by another (``orders``). What became of it is one write, and only the first to
end an attempt ends it. A worker that is gone, or silent for a lease, has its attempt ended as lost by whoever wants
the run, who then claims it anew and resumes it from its checkpoint. A cell whose runs are done is told to the search
and to MLflow (``closing``); whatever a killed worker left undone of that, the next does again.
"""
