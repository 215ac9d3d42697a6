from benchopt import BaseObjective


class Objective(BaseObjective):
    """Distance to the solution of f(x, y) = xy."""

    name = "Distance"

    def set_data(self, start):
        self.start = start

    def get_objective(self):
        return {"start": self.start}

    def evaluate_result(self, x, y):
        return {"value": float((x * x + y * y).sum().sqrt())}

    def get_one_result(self):
        return {"x": self.start[:1], "y": self.start[1:]}
