"""Quick: nine methods on five tasks, real images among them, in half a minute.

They are compared at equal cost. The methods have the winners of the tuning on record in
`tuned/quick`, which has the command that made it.
"""

from mmbench.suites._winners import suite_of_winners

QUICK = suite_of_winners("quick")
