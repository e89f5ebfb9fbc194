# A connection that ends is taken for a proof: a leader that works is replaced. Or it is not taken
# at all, and everybody waits for the whole election timeout.
(cluster nodes=3)
(campaign 1)
(stabilize)
(run 300ms)
unreachable 2 1
(run 3s)
expect leader=1
expect 1 term=1
expect 2 term=1 leader=1
---
as expected
as expected
as expected

# Right this time, and told by both: a fraction of the timeout is enough.
(crash 1)
unreachable 2 1
unreachable 3 1
(run 300ms)
expect 2 term=2
expect 3 term=2
---
as expected
as expected
