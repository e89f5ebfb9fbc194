# A read is lost with the leader that it was asked of, or is answered without a quorum.
(cluster nodes=3)
(campaign 1)
(stabilize)
partition 1
read 2 7
(run 4s)
expect 2 read.7=2 term=2
---
n2 → n1 ReadIndex term=1 token=1 (lost)
as expected

# Nobody hears member 2: the read fails after seven seconds, not earlier, and is not answered.
(partition 2)
read 2 8
(run 6s)
expect 2 read.8=pending
(run 2s)
expect 2 read.8=dropped
---
n2 → n3 ReadIndex term=2 token=6 (lost)
as expected
as expected
