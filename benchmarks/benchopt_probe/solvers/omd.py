import torch
from benchopt import BaseSolver
from benchopt.stopping_criterion import NoCriterion

STEP, ITERATIONS = 0.1, 1000


class Solver(BaseSolver):
    """Optimistic mirror descent."""

    name = "OMD"
    sampling_strategy = "callback"
    stopping_criterion = NoCriterion()

    def set_objective(self, start):
        self.start = start

    def run(self, callback):
        torch.set_num_threads(1)
        self.x, self.y, self.before = self.start[:1], self.start[1:], None
        for _ in range(ITERATIONS):
            if not callback():
                return
            self.x, self.y = self.step(self.x, self.y)
        callback()

    def field(self, x, y):
        x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
        return torch.autograd.grad((x * y).sum(), (x, y))

    def step(self, x, y):
        at_x, at_y = self.field(x, y)
        before_x, before_y = self.before or (at_x, at_y)
        self.before = at_x, at_y
        x = x - 2 * STEP * at_x + STEP * before_x
        return x, y + 2 * STEP * at_y - STEP * before_y

    def get_result(self):
        return {"x": self.x, "y": self.y}
