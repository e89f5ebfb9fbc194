# Gray failure: the leader's own disk hangs. Its followers store everything and the commit index moves, but the leader
# gives out nothing that its own disk has not: whoever asked it waits for ever, and no election comes.
(cluster nodes=3)
(campaign 1)
(stabilize)
(disk 1 hold)
(propose 1 a)
(stabilize)
expect leader=1
expect 1 commit=2 state=""
---
as expected
as expected

# One slow sync is no reason.
(run 500ms)
expect leader=1
---
as expected

(run 1500ms)
(stabilize)
expect leader=3
expect 3 state="a"
---
as expected
as expected

# With all disks hung nobody is better placed, and an election would only add to it.
(disk 1 release)
(stabilize)
(disk 1 hold)
(disk 2 hold)
(disk 3 hold)
(propose 3 b)
(run 3s)
expect leader=3
---
as expected

(disk 1 release)
(disk 2 release)
(disk 3 release)
(stabilize)
expect 1 state="a b"
---
as expected
