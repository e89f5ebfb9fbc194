# Trap 38: a read waits through a change of leader, and is answered with the old one's index or never.
(cluster nodes=3)
(campaign 1)
(stabilize)
(read 1 7)
(read 2 8)
(drop)
expect 1 read.7=pending
expect 2 read.8=pending
---
as expected
as expected

(crash 3)
(transfer 1 2)
(stabilize)
expect leader=2
expect 1 read.7=dropped
expect 2 read.8=dropped
---
as expected
as expected
as expected

# A read whose question or answer was lost does not wait for ever either.
(read 1 9)
(drop kind=ReadIndex)
(run 1100ms)
expect 1 read.9=dropped
---
as expected
