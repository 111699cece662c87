"""Gradient-boosted trees on the features as they were known at each departure."""

import plimsoll_step
from evaluation import POINT_IN_TIME, round_thresholds_down, train_and_judge
from sklearn.ensemble import HistGradientBoostingClassifier

step = plimsoll_step.load()
trees = HistGradientBoostingClassifier(
    max_iter=int(step.params.get("trees", 100)), max_leaf_nodes=31, learning_rate=0.1, early_stopping=False, random_state=7
)
train_and_judge(step, trees, POINT_IN_TIME, finish=round_thresholds_down)
