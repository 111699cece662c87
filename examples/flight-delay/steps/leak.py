"""The leak, in numbers: delays of "this hour at this airport", grouped by the clock hour of departure.

The group holds the flight that is to be predicted, and flights that land after it departs. Trained and judged on that
join, trees claim far more than they can serve, since at departure only the honest window is known.
"""

import json

import numpy
import plimsoll_step
from evaluation import POINT_IN_TIME, connect, judge, read_rows, rows_of
from sklearn.ensemble import HistGradientBoostingClassifier

LEAKING = ["origin_delays__mean_delay_1h", "origin_delays__late_share_1h", "origin_delays__n_1h"]

NAIVE = """
with hours as (
  select origin, date_trunc('hour', date) as hour_of, avg(delay_clipped) as mean_delay, avg(late) as late_share, count(*) as n
  from read_parquet(?) group by all)
select s.late, %s
from read_parquet(?) s join hours h on h.origin = s.origin and h.hour_of = date_trunc('hour', s.date)
where s.split = ? order by s.date, s.flight_id
"""


def naive_rows(flights, files, split):
    naive = dict(zip(LEAKING, ("h.mean_delay", "h.late_share", "h.n")))
    columns = ", ".join('%s as "%s"' % (naive.get(name, 's."%s"' % name), name) for name in POINT_IN_TIME)
    with connect() as connection:
        return rows_of(connection, NAIVE % columns, [flights, files, split], POINT_IN_TIME)


def fitted(rows):
    return HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=31, early_stopping=False, random_state=7).fit(rows.features, rows.labels)


def main():
    step = plimsoll_step.load()
    flights, files = step.input("flights").files, step.input("set").files
    step.progress(0.1, "joining by clock hour")
    naive = fitted(naive_rows(flights, files, "train"))
    step.progress(0.5, "judging the naive join")
    claimed_on, served_on = naive_rows(flights, files, "holdout"), read_rows(files, "holdout", POINT_IN_TIME)
    if not numpy.array_equal(claimed_on.labels, served_on.labels):
        raise SystemExit("The naive and the honest rows are not the same flights")
    claimed, served = judge(naive, claimed_on)["auc"], judge(naive, served_on)["auc"]
    found = {"claimed": claimed, "served": served, "holdout_rows": len(served_on)}
    step.output("leak").write_json(found)
    step.progress(1, "claimed %.3f, served %.3f" % (claimed, served))
    print(json.dumps(found))


main()
