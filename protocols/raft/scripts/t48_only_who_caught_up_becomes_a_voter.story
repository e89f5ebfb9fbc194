# Trap 48: a voter is added that holds nothing yet. It counts in the majority and cannot help it: with
# one more member down, nothing commits for as long as it takes to catch up.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a b c d e f g h i)
(stabilize)
(join 4)
(reconfigure 1 voters="1 2 3 4")
expect 1 hurdle="NotCaughtUp(NodeId(4))" members="{1 2 3}"
---
as expected

# A learner that does not answer is no better.
(partition 4)
(reconfigure 1 voters="1 2 3" learners="4")
(run 300ms)
(reconfigure 1 voters="1 2 3 4")
expect 1 hurdle="NotCaughtUp(NodeId(4))" members="{1 2 3 learners 4}"
(crash 3)
(propose 1 j)
(run 300ms)
expect 1 commit=12
---
as expected
as expected

(heal)
(run 500ms)
expect 1 matched.4=12
(reconfigure 1 voters="1 2 3 4")
(run 300ms)
expect 4 members="{1 2 3 4}" commit=14
---
as expected
as expected
