"""Logistic regression on what is known of every flight without any history: local hour, day of the week, distance."""

import plimsoll_step
from evaluation import PLAIN, train_and_judge
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

step = plimsoll_step.load()
train_and_judge(step, make_pipeline(StandardScaler(), LogisticRegression(C=step.params["c"], max_iter=200)), PLAIN)
