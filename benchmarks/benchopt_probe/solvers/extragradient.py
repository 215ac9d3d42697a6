import torch
from benchopt import BaseSolver
from benchopt.stopping_criterion import NoCriterion

STEP, ITERATIONS = 0.1, 1000


class Solver(BaseSolver):
    """Extragradient."""

    name = "Extragradient"
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
        at_x, at_y = self.field(x - STEP * at_x, y + STEP * at_y)
        return x - STEP * at_x, y + STEP * at_y

    def get_result(self):
        return {"x": self.x, "y": self.y}
