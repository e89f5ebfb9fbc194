# Trap 18: the copies and votes of members that only learn are counted.
(cluster nodes=3)
(campaign 1)
(stabilize)
(join 4)
(join 5)
(reconfigure 1 voters="1 2 3" learners="4 5")
(run 300ms)
expect 1 members="{1 2 3 learners 4 5}" matched.4=2 matched.5=2
expect 4 members="{1 2 3 learners 4 5}" role=follower timer=none
---
as expected
as expected

# The leader and two learners hold the entry: three of five, and one of three that count.
(partition 1 4 5)
(propose 1 a)
(stabilize)
expect 1 commit=2 matched.4=3 matched.5=3
---
as expected

# Nobody elects with learners, and a leader that hears only them steps down.
(run 3s)
expect 1 role=pre-candidate
(heal)
(run 3s)
(stabilize)
expect 4 role=follower timer=none
expect 5 commit=3
---
as expected
as expected
as expected
