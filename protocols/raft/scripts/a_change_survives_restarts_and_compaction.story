# The configuration is found again after a restart, whether it lies in the log, at its base or with an
# installed state.
(cluster nodes=3)
(campaign 1)
(stabilize)
(join 4)
(reconfigure 1 voters="1 2 3" learners="4")
(run 300ms)
(reconfigure 1 voters="2 3 4")
(run 3s)
expect 2 members="{2 3 4}"
expect 3 members="{2 3 4}"
---
as expected
as expected

(crash 2)
(restart 2)
expect 2 members="{2 3 4}"
(compact 2)
(crash 2)
(restart 2)
expect 2 members="{2 3 4}"
---
as expected
as expected

# A new learner is sent the state; the power fails between the switch to it and the log's record of it.
(compact 3)
(compact 4)
(run 3s)
(join 5)
(disk 5 hold)
(reconfigure 2 voters="2 3 4" learners="5")
(reconfigure 3 voters="2 3 4" learners="5")
(reconfigure 4 voters="2 3 4" learners="5")
(run 1s)
(crash 5)
(restart 5)
(run 1s)
expect 5 members="{2 3 4 learners 5}"
---
as expected
