# Trap 44: a configuration counts when it is appended, and goes on counting after its entry was
# replaced.
(cluster nodes=3)
(campaign 1)
(stabilize)
(join 4)
(reconfigure 1 voters="1 2 3" learners="4")
(run 300ms)
(partition 1 4)
(reconfigure 1 voters="1 2 3 4")
(stabilize)
expect 1 members="{1 2 3 4 from 1 2 3}" log="1 1 1"
---
as expected

(run 3s)
(campaign 2)
(stabilize)
(heal)
(run 2s)
expect 1 members="{1 2 3 learners 4}" log="1 1 2"
expect 4 members="{1 2 3 learners 4}" log="1 1 2"
---
as expected
as expected
