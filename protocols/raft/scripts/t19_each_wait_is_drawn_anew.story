# Trap 19: members that hear the same beacon at the same moment get the same deadline, and collide at
# each election.
(cluster nodes=3)
(campaign 1)
(stabilize)
expect 2 timer=1769
expect 3 timer=1695
---
as expected
as expected

# The same beacon at the same moment; two waits of each differ too.
(advance 100ms)
(stabilize)
expect 2 timer=1376
expect 3 timer=1713
---
as expected
as expected
